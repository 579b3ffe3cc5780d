"""Benchmarks of the platform; `./infra/bench` runs them. See `figures.py` for what one has to look like."""
