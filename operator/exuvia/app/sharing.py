"""What a step may not need is found only when it asks, so that the way of one fact does not grow with the fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class LazySequence(Sequence[T]):
    """A sequence that is made when it is first looked at."""

    def __init__(self, make: Callable[[], Sequence[T]]) -> None:
        self._make = make
        self._made: Sequence[T] | None = None

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items()[index]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[T]:
        return iter(self._items())

    def _items(self) -> Sequence[T]:
        if self._made is None:
            self._made = self._make()
        return self._made


class LazyMapping(Mapping[str, str]):
    """Answers by key, asked one at a time; an empty answer means that the key is not there."""

    def __init__(self, keys: Callable[[], Sequence[str]], answer: Callable[[str], str]) -> None:
        self._keys = keys
        self._answer = answer

    def __getitem__(self, key: str) -> str:
        found = self._answer(key)
        if not found:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return (one for one in self._keys() if self._answer(one))

    def __len__(self) -> int:
        return sum(1 for _ in self)
