"""An in-memory world (cluster, clock, provider, ledger) for property tests and dry runs."""
