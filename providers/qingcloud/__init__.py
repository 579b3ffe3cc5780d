"""QingCloud: instances, volumes and the rest by the IaaS API of 2013-08-30, which every zone speaks.

Where to look: ``driver`` (the provider), one module a capability (``machines``, ``volumes``, …),
``creation`` (how a key names one resource in a cloud that knows no keys), ``client`` (signed calls),
``kinds`` (how the API names things), ``mapping`` (answers to resources), ``errors``.
"""
