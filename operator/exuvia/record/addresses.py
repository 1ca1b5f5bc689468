"""An IP address is one thing, however it is written: `FD00:0:0:0::7` is `fd00::7`. The ledger keeps it as it was told,
so whoever asks for one asks for each text that means it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select

from exuvia.record import tables
from exuvia.record.bearing import ADDRESS


def canonical(text: str) -> str | None:
    """The one way to write it (RFC 5952), an IPv4 address that is written as one of IPv6 as IPv4; None for what is no
    address."""
    found = _read(text)
    return None if found is None else str(found)


def written(connection: Connection, attribute: str, value: str) -> tuple[str, ...]:
    """Every text that the value of an attribute may stand under; addresses alone have several.

    Those that programs write are found by the index. Where an address of IPv6 stands under none of them, all are looked
    through for another mixture of case and noughts, which takes the longer the more there are.
    """
    meant = _read(value) if attribute == ADDRESS else None
    if meant is None:
        return (value,)
    if isinstance(meant, IPv4Address):
        mapped = IPv6Address(b"\0" * 10 + b"\xff\xff" + meant.packed)
        return (str(meant), *spellings(mapped))
    usual = tuple(connection.scalars(_stored().where(tables.identities.c.value.in_(tuple(spellings(meant))))))
    return usual or tuple(one for one in connection.scalars(_alike(meant)) if _read(one) == meant)


def spellings(address: IPv6Address) -> Iterator[str]:
    """How programs write it: with noughts before each group or not, any run of empty groups left out or none, the end
    as IPv4 or not, in small letters or capitals."""
    scope = f"%{address.scope_id}" if address.scope_id else ""
    long = IPv6Address(int(address)).exploded.split(":")
    short = [f"{int(one, 16):x}" for one in long]
    dotted = [*short[:-2], str(IPv4Address(address.packed[-4:]))]
    texts = [text for groups in (short, long, dotted) for text in _shortened(groups)]
    yield from (one + scope for one in dict.fromkeys(case for text in texts for case in (text, text.upper())))


def _shortened(groups: Sequence[str]) -> Iterator[str]:
    """With all groups, and without each run of empty ones."""
    yield ":".join(groups)
    for first in range(len(groups)):
        for after in range(first + 1, len(groups) + 1):
            if groups[after - 1].strip("0"):
                break
            yield f"{':'.join(groups[:first])}::{':'.join(groups[after:])}"


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _stored() -> Select[Any]:
    table = tables.identities
    return select(table.c.value).where(table.c.attribute == ADDRESS).distinct()


def _alike(address: IPv6Address) -> Select[Any]:
    """What may mean it: without colons and noughts all texts of an address are the same, but for those that end as IPv4
    does."""
    text = tables.identities.c.value
    digits = str(address).lower().replace(":", "").replace("0", "")
    bare = func.replace(func.replace(func.lower(text), ":", ""), "0", "")
    return _stored().where(and_(text.like("%:%"), or_(bare == digits, text.like("%:%.%"))))
