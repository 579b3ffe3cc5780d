"""A cloud of one machine: this one. The local provider talks to it as the others talk to theirs.

``python -m infra.local.hypervisor --data DIR --port N --token-file FILE`` serves, on the loopback
address only, networks (ranges of loopback addresses), volumes (directories), key pairs, and machines:
a directory, a loopback address and a tree of real processes under a small init, started by the
machine's user data. Sizes are declared and counted against quotas, not enforced on the processes; and
what runs in a machine runs with the rights of the user who started the hypervisor. It is for one's own
laptop, never for packages one would not run by hand.

Where to look: ``cloud`` (what there is and the rules), ``machines`` (bringing one up and down), ``init``
(what runs inside each), ``processes`` (finding them), ``store`` (files), ``server`` (HTTP), ``model``.
"""
