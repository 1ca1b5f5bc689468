"""EYES: what the API server shows, kept as slim records. Never decides, never writes."""
