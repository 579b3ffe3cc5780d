"""VMware vSphere: one cluster of hosts of one vCenter, through pyVmomi.

Where to look: ``driver`` (the provider), ``machines``, ``volumes``, ``networks``, ``images`` (one capability
each), ``client`` (the calls), ``inventory`` (what lies where), ``mapping`` (vSphere's objects to resources
and back), ``devices`` (a machine's cards and disks), ``guest`` (what a machine is told at boot), ``errors``,
``sdk`` (pyVmomi, loaded late).
"""
