"""Exported lines: one entry each, with its number and hash, so that anybody can check the chain (history.md)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from exuvia.record import queries


def lines(connection: Connection, cluster: str) -> Iterator[str]:
    """`{"seq":n,"hash":"<hex>","entry":{...}}`, in order, without line ends. The entry is in canonical form already."""
    for link in queries.links(connection, cluster):
        yield f'{{"seq":{link.seq},"hash":"{link.hash.hex()}","entry":{link.canonical.decode()}}}'
