"""The nouns of the simulated cloud: node groups, faults on request, machines. Written to the file as they are here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from exuvia.localcluster import fleet

SCHEME = "simulated://"
ALWAYS = -1


class State(StrEnum):
    """How far a machine is."""

    LAUNCHING = "Launching"  # asked for; there is no Node yet
    RUNNING = "Running"  # its Node was created
    TERMINATING = "Terminating"  # asked to go; its Node is still there (told to callers as Running)
    FAILED = "Failed"  # definite: it will not come
    GONE = "Gone"  # it was there and is not any more


LIVE = (State.LAUNCHING, State.RUNNING)


class Image(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What new machines boot from."""

    os_image: str = fleet.Image().os_image
    kernel: str = fleet.Image().kernel
    kubelet: str = fleet.Image().kubelet
    container_runtime: str = fleet.Image().container_runtime
    architecture: str = fleet.Image().architecture

    def facts(self) -> fleet.Image:
        """The same, as the fleet's bodies are made from it."""
        return fleet.Image(**msgspec.structs.asdict(self))


class Group(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A node group: what its new machines are like. `max_size` 0 is no limit."""

    size: int = 0
    max_size: int = 0
    refill: bool = False
    zones: tuple[str, ...] = ("a",)
    labels: dict[str, str] = {}
    taints: tuple[dict[str, str], ...] = ()
    image: Image = Image()
    launch_seconds: float = 0
    boot_seconds: float = 0
    terminate_seconds: float = 0


class Faults(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How many of the next ones are hit by each trouble; -1: all."""

    capacity: int = 0
    unavailable: int = 0
    lose_answer: int = 0
    never_arrive: int = 0
    never_ready: int = 0
    old_image: int = 0
    vanish: int = 0
    vanish_seconds: float = 0

    def take(self, name: str) -> tuple[bool, Faults]:
        """Whether the next one is hit, and the faults that are left then."""
        count: int = getattr(self, name)
        left = count - 1 if count > 0 else count
        return count != 0, msgspec.structs.replace(self, **{name: left})


class Machine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One machine that was asked for. `due`: when it changes by itself next (seconds since 1970), None for never."""

    pool: str
    key: str
    id: str
    zone: str
    provider_id: str
    node_name: str
    state: State
    message: str = ""
    due: float | None = None
    uid: str = ""
    image: Image = Image()
    boot_seconds: float = 0
    never_ready: bool = False
    vanish_after: float | None = None

    @property
    def live(self) -> bool:
        """Whether it counts towards the size of its group."""
        return self.state in LIVE

    def answer(self) -> dict[str, Any]:
        """What callers are told."""
        state = State.RUNNING if self.state is State.TERMINATING else self.state
        return {
            "requestID": self.id,
            "state": state.value,
            "providerID": "" if state is State.FAILED else self.provider_id,
            "nodeName": "" if state is State.FAILED else self.node_name,
            "message": self.message,
            "key": self.key,
            "pool": self.pool,
            "zone": self.zone,
        }


def merged_group(current: Group, given: Mapping[str, Any]) -> Group:
    """The group with what is given put over it, the image field by field. Raises msgspec.ValidationError."""
    before = msgspec.to_builtins(current)
    image = {**before["image"], **(given.get("image") or {})}
    return msgspec.convert({**before, **given, "image": image}, Group)


def merged_faults(current: Faults, given: Mapping[str, Any]) -> Faults:
    """The faults with what is given put over them. Raises msgspec.ValidationError."""
    return msgspec.convert({**msgspec.to_builtins(current), **given}, Faults)
