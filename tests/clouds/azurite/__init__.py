"""Azurite, Microsoft's emulator of Azure Storage (npm, MIT): `build.py` installs it, `server.py` runs it."""
