"""The command line ``pitrix``: a client of the REST API, and of `pitrix.packages` on the own machine.

Owns nothing of the domain: what it shows comes from the API, what it checks is checked by the same code that
the platform runs. Installed by the extra ``cli`` (typer, rich, httpx); the layer for functions leaves it out.

Start at ``main.py``; every group of commands has a module of its own.
"""
