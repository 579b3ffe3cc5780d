"""What is fast, small or cheap, measured: ``./infra/bench`` runs every ``bench_*.py`` and prints a table."""
