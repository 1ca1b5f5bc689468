"""Licence seats (history.md): who gets one, who waits, when it comes back; and what other terms would have cost.

advance   state and events in, state and changes out: the one state machine
look      the same for one look at the world, as the operator does it
recall    the state from the changes that the ledger keeps
simulate  lives as demand, replayed under other terms
"""

from __future__ import annotations

from exuvia.decide.seats.advancing import Advanced, advance, look
from exuvia.decide.seats.recalling import recall
from exuvia.decide.seats.stepping import step

__all__ = ["Advanced", "advance", "look", "recall", "step"]
