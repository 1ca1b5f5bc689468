"""What a machine bears: names, addresses and the identities that its kubelet and its cloud gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ATTRIBUTES = ("name", "providerID", "machineID", "bootID")
ADDRESS = "address"
LENGTH = 512  # of a value, as the ledger keeps it


def borne(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(attribute, value) of all that a birth, or the line of an instance, says it bears; each once."""
    said = [(attribute, str(body.get(attribute) or "")[:LENGTH]) for attribute in ATTRIBUTES]
    said += [(ADDRESS, str(address)[:LENGTH]) for address in body.get("addresses") or ()]
    return [(attribute, value) for attribute, value in dict.fromkeys(said) if value]
