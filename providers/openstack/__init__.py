"""OpenStack: nova, neutron, glance and cinder of a private or public cloud.

Where to look: ``driver`` (the provider: how to sign in, zones), a module a capability (``machines``,
``volumes``, ``networks``, …), ``once`` (how a key names one resource), ``client`` (the calls) over
``transport`` (connections to checked addresses), ``mapping`` (JSON to resources), ``errors``."""
