"""What is said of an operation whose machine is not there: gone, or never there under the UID that was written."""

from __future__ import annotations

from exuvia.model.instances import Instance
from exuvia.model.specs.common import InstanceReference


def untouched(asked: InstanceReference, other: Instance | None, command: str) -> str:
    """`other` bears the machine's name now and has another UID; `command` asks for it by name."""
    if other is None:
        return f"{asked.name} is gone before it was touched"
    return (
        f"there is no {asked.name} with the UID {asked.uid}, and nothing was touched: the {asked.name} that is there "
        f"has the UID {other.uid}. If that one is meant, ask by `exuvia {command} {asked.name}`, which finds the UID"
    )
