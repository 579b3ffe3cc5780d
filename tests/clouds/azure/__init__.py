"""Azure Resource Manager as the tests need it: stateful, and true to Azure's REST specifications.

Every request and every answer is held against the specifications (``specification.py``). What these do
not say, the behaviour of resources, is modelled as Azure documents it: ``world.py`` (what all kinds share),
``machines.py``, ``disks.py``, ``networks.py``, ``galleries.py``, ``storage.py`` (in Azurite), ``sites.py``
(function apps that run in Microsoft's worker), ``catalogue.py`` (what is on offer),
``entra.py`` (who may). ``server.py`` is the HTTP in front.
"""
