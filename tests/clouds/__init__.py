"""The clouds that the providers are tested on: servers, fakes, and the recipes that build them.

One folder a cloud, named as its provider. ``build.py`` in it, where there is one, makes once what takes long
(``python -m tests.clouds build``), and ``cache.py`` says where that lies. What starts a cloud for a run of
the tests is its target, ``tests/contract/providers/targets``.
"""
