"""A QingCloud of our own, for the tests: stateful, and held to QingCloud's published API specification.

Every request must be one that the specification knows (names, types, enumerations, required members) and be
signed as QingCloud wants it; every answer is checked against the specification too, before it is sent. What
the specification does not say is modelled after QingCloud's documentation and clients: error codes,
transitions, the time in which what was made cannot be changed ("lease info not ready"), what is in use and
stays, sizes of volumes. Nothing runs inside its instances.

Where to look: ``specification`` (what requests and answers look like), ``server`` (HTTP and signatures),
``cloud`` (accounts, state, transitions), ``compute``, ``storage``, ``network`` (the actions). By hand it is
run by ``python -m tests.clouds.qingcloud``. Its honesty: ``tests/contract/fakes/test_qingcloud_fake.py``.
"""
