"""Hostile and broken packages: a table of them, and programs that make up more.

- `hostile` is the table; HOSTILE.md says what each was told; tests/unit/packages/test_hostile.py runs it.
- `targets` are functions that take any bytes and raise when an invariant does not hold (`doors`).
- test_fuzz.py lets Hypothesis break valid packages for about a minute in every test run.
- ``python -m tests.fuzz --minutes 10`` searches for longer, guided by coverage, with Atheris.  It is not
  among the project's requirements, as nothing else needs it: ``pip install --no-deps atheris==3.0.0``
  (CPython 3.11 to 3.13 on Linux).  ``--target yaml`` picks one of the targets, ``--corpus DIR`` keeps what
  was found of interest for the next time.  An input that breaks an invariant is written to ``crash-...``,
  and ``python -m tests.fuzz --target yaml --again crash-...`` tries it once more.
- ``python -m tests.fuzz --report`` writes HOSTILE.md anew.
"""
