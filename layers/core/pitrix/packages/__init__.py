"""Packages: what an application is.

`model` holds the shapes, `service` is the only door for other contexts.  Knows nothing of repositories,
clouds or tables: a package comes in as bytes and goes out as plain values.
"""
