"""The Pitrix agent: one program, two roles, on every machine of a cluster.

A *drone* runs the application's commands on its machine and serves the cluster's metadata there. A
*frontgate* is the one machine of a private network that goes out: it relays for the drones. Both
authenticate to Pilot, the platform's end (``layers/core/pitrix/pilot``), and both keep all they know in
files, so that a restart, of the agent or of the machine, loses nothing and runs nothing twice.

Standard library and ``websockets`` only, Python 3.11 or newer. Where to look: ``__main__`` (start),
``session`` (authentication), ``link`` (the connection), ``drone`` and ``frontgate`` (the roles), ``runner``
and ``journal`` (commands), ``actions`` (commands that are not processes), ``metadata``, ``health``.
"""
