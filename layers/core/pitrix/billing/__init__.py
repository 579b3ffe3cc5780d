"""Metering, rating and bills; see ``model`` for the words, ``service`` for what can be done."""
