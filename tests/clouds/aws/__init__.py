"""Amazon's cloud on this machine: moto for EC2 and the rest, the emulator of ``./infra/up`` for functions.

``server.py`` is the process, ``front.py`` what stands before both (signatures, permissions, client tokens,
limits), ``mends.py`` what moto lets pass and EC2 does not. What nothing here simulates: guests in machines.
"""
