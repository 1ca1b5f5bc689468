"""The book of the simulated cloud: groups, faults and machines, in one file that is always whole."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import msgspec

from exuvia import errors
from exuvia.localcluster.cloud.groups import Faults, Group, Image, Machine


class _Contents(msgspec.Struct, kw_only=True, rename="camel"):
    groups: dict[str, Group] = {}
    former_images: dict[str, Image] = {}
    faults: dict[str, Faults] = {}
    machines: list[Machine] = []


class Book:
    """What the cloud must not forget. `save` before anything is acknowledged."""

    def __init__(self, path: Path) -> None:
        """Read the file, or begin a new one. Raises `errors.SettingsError` when it cannot be read."""
        self._path = path
        contents = _read(path)
        self.groups = contents.groups
        self.former_images = contents.former_images
        self.faults = contents.faults
        self._machines: dict[tuple[str, str], Machine] = {}
        self._by_provider_id: dict[str, Machine] = {}
        self._live: Counter[tuple[str, str]] = Counter()
        for one in contents.machines:
            self.put(one)

    def save(self) -> None:
        """Durable when it returns: written beside, synced, renamed."""
        contents = _Contents(
            groups=self.groups,
            former_images=self.former_images,
            faults=self.faults,
            machines=list(self._machines.values()),
        )
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(contents)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def put(self, machine: Machine) -> None:
        """Note a machine, in the place of its former state."""
        before = self._machines.get((machine.pool, machine.key))
        if before is not None:
            self._live[before.pool, before.zone] -= before.live
        self._live[machine.pool, machine.zone] += machine.live
        self._machines[machine.pool, machine.key] = machine
        self._by_provider_id[machine.provider_id] = machine

    def machine(self, pool: str, key: str) -> Machine | None:
        """The machine that was asked for with that key."""
        return self._machines.get((pool, key))

    def by_provider_id(self, provider_id: str) -> Machine | None:
        """The machine of that providerID."""
        return self._by_provider_id.get(provider_id)

    def live(self, pool: str) -> Counter[str]:
        """How many machines of a pool are there or on their way, by zone."""
        return Counter({zone: count for (of, zone), count in self._live.items() if of == pool})

    def machines(self, pool: str = "") -> list[Machine]:
        """All machines, or those of one pool, also the failed and gone ones, in the order they were asked for."""
        return [one for one in self._machines.values() if pool in ("", one.pool)]

    def faults_of(self, pool: str) -> Faults:
        """The faults that are on for a pool."""
        return self.faults.get(pool, Faults())

    def hit(self, pool: str, name: str) -> bool:
        """Whether a fault hits the next one; takes it off the count."""
        hit, self.faults[pool] = self.faults_of(pool).take(name)
        return hit


def _read(path: Path) -> _Contents:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Contents)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _Contents()
    except (OSError, msgspec.MsgspecError) as trouble:
        raise errors.SettingsError(
            f"The simulated cloud's file {path} cannot be read: {trouble}.",
            remedy="Name another file by --state, or remove this one to begin anew.",
        ) from trouble
