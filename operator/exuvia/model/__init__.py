"""NOUNS: frozen data and enums, and the shapes of our custom resources. No verbs, no I/O, no clock."""
