"""VOICE: conditions, Events, metrics and text. Never decides."""
