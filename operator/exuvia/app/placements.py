"""Which pods run where, as the ledger was told: by pod, and by the images that they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exuvia.record.standing import Placed


class Placements:
    """Pods by UID, and which of them run an image. Remembers whose pods changed since somebody last asked."""

    def __init__(self) -> None:
        self._placed: dict[str, Placed] = {}
        self._running: dict[str, set[str]] = {}
        self._moved: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._placed))

    def load(self, placed: Mapping[str, Placed]) -> None:
        """What the ledger says, in place of what was known."""
        self._placed, self._running = {}, {}
        for pod, one in placed.items():
            self.put(pod, one)

    def get(self, pod: str) -> Placed | None:
        """Where a pod runs, or None."""
        return self._placed.get(pod)

    def put(self, pod: str, now: Placed) -> None:
        """A pod runs, or runs other images than before."""
        self.pop(pod)
        self._placed[pod] = now
        self._moved.add(now.instance)
        for image in now.images:
            self._running.setdefault(digest_of(image), set()).add(pod)

    def pop(self, pod: str) -> Placed | None:
        """A pod runs no more; what was known of it."""
        former = self._placed.pop(pod, None)
        if former is None:
            return None
        self._moved.add(former.instance)
        for image in former.images:
            digest = digest_of(image)
            self._running.get(digest, set()).discard(pod)
            if not self._running.get(digest, True):
                del self._running[digest]
        return former

    def runs(self, digest: str) -> bool:
        """Whether any pod runs an image."""
        return digest in self._running

    def machines_with(self, digest: str) -> set[str]:
        """UIDs of the machines that run an image."""
        return {self._placed[pod].instance for pod in self._running.get(digest, ())}

    def take_moved(self) -> set[str]:
        """UIDs of machines whose pods came, went or changed their images since the last call."""
        taken, self._moved = self._moved, set()
        return taken


def digest_of(image_id: str) -> str:
    """The digest in a `containerStatuses[].imageID` like `registry.example/nginx@sha256:...`; "" where it names
    none."""
    digest = image_id.rpartition("@")[2].rpartition("://")[2]
    return digest if ":" in digest and "/" not in digest else ""
