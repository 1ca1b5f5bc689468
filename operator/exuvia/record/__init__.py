"""MEMORY: the append-only, hash-chained ledger."""
