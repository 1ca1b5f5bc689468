"""Feeds: what the world says of vulnerabilities, read from files. Nothing here fetches anything, or writes.

`read` of a feed takes the lines of one file and gives what it states; `comparing` says what of that is new to the
ledger. Adding a feed is one file and one line in `FEEDS`.
"""

from __future__ import annotations

from exuvia.observe.feeds import cvss, cyclonedx, epss, kev, openvex
from exuvia.observe.feeds.base import Feed

FEEDS: tuple[Feed, ...] = (
    epss.FEED,
    kev.FEED,
    cvss.FEED,
    openvex.FEED,
    cyclonedx.FEED,
)
