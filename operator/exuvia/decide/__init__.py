"""CHOICE (pure): what should be done now, and what is blocked and why."""
