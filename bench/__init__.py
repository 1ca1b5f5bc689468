"""Benchmarks on a real control plane with simulated machines: `python -m bench`. What they found: docs/performance.md.

The operator runs as its own process with the rights of deploy/, as in production. Nothing here is a test: a machine
that is busy or slow makes other figures, so every time stands beside one of a bare loop that was taken in the same run.
"""
