"""Kinds of packages, one module each; `pitrix.packages.ports` is their interface and registry."""
