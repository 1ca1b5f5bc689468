"""What VEX documents of any form come to: a vulnerability that does not matter here scores 0, whatever others say.

A score is about a vulnerability, not about a product. So a statement about named products does not silence a
vulnerability everywhere unless that is asked for; and it never does while the same document says of another product
that it is affected, under investigation, or was fixed (then it was affected before). In doubt nothing is silenced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exuvia.model.histories import VEX
from exuvia.observe.feeds import base
from exuvia.observe.feeds.base import Asked, Statement
from exuvia.observe.feeds.documents import Document, Path

SILENT = "0"
SAID = "said"
"""Key under which the ledger keeps when a document said so."""

CLEARING = frozenset({"not_affected", "false_positive"})
NOT_CLEARING = frozenset(
    {"affected", "exploitable", "under_investigation", "in_triage", "fixed", "resolved", "resolved_with_pedigree"}
)
_EVERYWHERE = "Add --product-scope all if no machine runs another product with it; else leave it to the scanner."


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """One statement of a document. `said`: when it was made; `begins`: the earliest moment that it names. `products`:
    what it is about, () for whatever the reader has. `doubt`: it names an affected version all the same."""

    path: Path
    names: tuple[str, ...]
    products: tuple[str, ...]
    status: str
    said: int
    begins: int
    justification: str = ""
    doubt: bool = False

    @property
    def clears(self) -> bool:
        """Whether it says that the vulnerability does not matter."""
        return self.status in CLEARING and not self.doubt


def settle(document: Document, sayings: Iterable[Saying], asked: Asked) -> list[Statement]:
    """One statement for each vulnerability. Raises `errors.InvalidObject` where only named products are cleared."""
    by_name: dict[str, list[Saying]] = {}
    for one in sayings:
        for name in dict.fromkeys(one.names):
            by_name.setdefault(name, []).append(one)
    return [_statement(document, name, _last(found), asked) for name, found in by_name.items()]


def status(document: Document, path: Path, holder: Mapping[str, object], key: str) -> str:
    """A status that is known. Raises `errors.InvalidObject`."""
    found = document.texts(path, holder, key)
    if found not in CLEARING | NOT_CLEARING:
        raise document.wrong((*path, key), f"{found!r} is no status that is known")
    return found


def _last(sayings: list[Saying]) -> list[Saying]:
    """The last word about each product."""
    found: dict[str, Saying] = {}
    for one in sorted(sayings, key=lambda one: one.said):
        for product in one.products or ("",):
            found[product] = one
    return list(dict.fromkeys(found.values()))


def _statement(document: Document, name: str, sayings: list[Saying], asked: Asked) -> Statement:
    begins = min(one.begins for one in sayings)
    notes = {SAID: base.written(max(one.said for one in sayings))}
    if not all(one.clears for one in sayings):
        return Statement(vulnerability=name, source=VEX, valid_from=begins, value="", notes=notes)
    narrow = next((one for one in sayings if one.products), None)
    if narrow is not None and not asked.everywhere:
        products = ", ".join(narrow.products[:2]) + (" and more" if len(narrow.products) > 2 else "")
        words = f"{name} is {narrow.status} for {products} only, and scores count for all machines"
        raise document.wrong(narrow.path, words, _EVERYWHERE)
    return Statement(
        vulnerability=name,
        source=VEX,
        valid_from=begins if asked.valid_from is None else asked.valid_from,
        value=SILENT,
        details={
            "status": _joined(one.status for one in sayings),
            "justification": _joined(one.justification for one in sayings),
        },
        notes=notes,
    )


def _joined(words: Iterable[str]) -> str:
    return ", ".join(sorted({one for one in words if one}))
