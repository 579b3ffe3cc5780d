"""The Python worker of Azure Functions, Microsoft's own, with as much of a host around it as tests need.

``build.py`` installs the worker runtime, ``worker.py`` runs inside of that, ``host.py`` is what tests use.
"""
