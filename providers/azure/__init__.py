"""Microsoft Azure: one subscription in one location, through Azure Resource Manager.

Where to look: ``driver`` (the provider), the modules named by capability (``machines``, ``volumes``, …) on
``cloud`` (what they share), ``client`` (the calls), ``naming`` (how ids and names are made), ``mapping`` and
``network_mapping`` (JSON to resources), ``packaging`` (applications), ``sizes``, ``userdata``, ``errors``.
"""
