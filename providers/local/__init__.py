"""The cloud on one's own machine: machines are process groups with loopback addresses.

Where to look: ``driver`` (the provider), ``client`` (HTTP), ``mapping`` (JSON to resources), ``errors``;
the cloud itself is ``infra/local/hypervisor``.
"""
