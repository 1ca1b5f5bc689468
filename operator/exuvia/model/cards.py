"""Cards: what each rule, provider and collector says of itself. RBAC, docs tables and contract tests come from them."""

from __future__ import annotations

from dataclasses import dataclass

from exuvia.model.permissions import Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`name` as in manifests; one sentence of description; parameters by name; rights; an example in YAML."""

    name: str
    description: str
    parameters: tuple[tuple[str, str], ...] = ()
    permissions: tuple[Permission, ...] = ()
    example: str = ""
