"""The vendor's API, or what speaks with it: one POST for each seat that came back (docs/seats.md, "The reclaim hook").

A call is decided by its code: 2xx is done, 408, 425, 429, 5xx and no answer are tried again, everything else is refused
for good. Redirects are not followed; only hosts that the operator was told of are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from exuvia.model.specs.common import format_duration
from exuvia.model.specs.license_pool import ReclaimHook

ANSWER_BYTES = 64 * 1024
AGAIN = (408, 425, 429)


class Reply(StrEnum):
    """What came of a call."""

    DONE = "done"  # the vendor did it, or had done it
    REFUSED = "refused"  # trying the same again is useless
    AGAIN = "again"  # no answer, or one that says later


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`used` is the vendor's own count of seats in use, where it tells one."""

    reply: Reply
    said: str = ""
    used: int | None = None


def host(url: str) -> str:
    """The host of a URL, with its port where one is written; "" where there is none."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


async def post(
    session: aiohttp.ClientSession, hook: ReclaimHook, key: str, body: Mapping[str, Any], *, token: str = ""
) -> Answer:
    """Make one call. Never raises for what the network or the vendor does."""
    headers = {"Idempotency-Key": key, "X-Exuvia-Dry-Run": str(bool(body.get("dryRun"))).lower()}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    limit = aiohttp.ClientTimeout(total=hook.timeout / timedelta(seconds=1))
    try:
        async with session.post(
            hook.url, json=dict(body), headers=headers, timeout=limit, allow_redirects=False
        ) as answer:
            text = await answer.content.read(ANSWER_BYTES)
            return _answer(answer.status, text)
    except TimeoutError:
        return Answer(reply=Reply.AGAIN, said=f"nothing within {format_duration(hook.timeout)}")
    except (aiohttp.ClientError, ValueError) as trouble:
        return Answer(reply=Reply.AGAIN, said=f"{type(trouble).__name__}: {trouble}")


def _answer(code: int, text: bytes) -> Answer:
    if 200 <= code < 300:
        return Answer(reply=Reply.DONE, used=_used(text))
    reply = Reply.AGAIN if code in AGAIN or code >= 500 else Reply.REFUSED
    return Answer(reply=reply, said=f"HTTP {code}")


def _used(text: bytes) -> int | None:
    """The vendor's count from an answer like `{"used": 240}`; None where it tells none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or nested deeper than anybody means it
        return None
    used = found.get("used") if isinstance(found, dict) else None
    return used if isinstance(used, int) and not isinstance(used, bool) and used >= 0 else None
