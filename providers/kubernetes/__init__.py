"""Kubernetes: charts by the real Helm, everything else by the ``kubernetes`` client.

Where to look: ``driver`` (the provider), ``access`` (the ways to sign in), ``client`` (calls to the API
server), ``helm`` and ``gate`` (the program, and its only way out), ``tenancy`` (namespaces and what a chart
may do), ``releases`` and ``functions`` (the capabilities), ``records`` (what is noted in the cluster itself),
``mapping``, ``errors``. ``rbac.yaml`` is what an account that Pitrix uses must be allowed.
"""
