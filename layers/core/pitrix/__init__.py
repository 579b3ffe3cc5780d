"""Pitrix: an application management platform for many clouds, built from serverless functions.

Each context (``catalog``, ``repos``, ``clusters``, ...) is a package with the same files: ``model.py`` (what
exists), ``service.py`` (what can be done), ``ports.py`` (what it needs), ``dynamo.py`` (where it is kept).
``bootstrap.py`` wires them together; nothing here touches the network when it is imported.
"""
