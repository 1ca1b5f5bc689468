"""HANDS: execute one action. Never chooses."""
