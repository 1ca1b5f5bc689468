"""Migrations of the ledger, in order. They add; they never rewrite an entry, so the chain stays verifiable."""
