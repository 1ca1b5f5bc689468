"""What a chain is called in words: it has the name of its cluster, or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exuvia import errors

NAMELESS = "the chain without a name"


def called(cluster: str) -> str:
    """`the chain of berlin`, or `the chain without a name`."""
    return f"the chain of {cluster}" if cluster else NAMELESS


def listed(clusters: Iterable[str]) -> str:
    """`berlin, north`, as `--cluster` takes them; of one without a name how that is written, too."""
    return ", ".join(one or "'' (the one without a name)" for one in sorted(clusters))


def only(clusters: Sequence[str]) -> str:
    """The one chain. Raises `errors.SettingsError` for several."""
    if len(clusters) > 1:
        remedy = f"Say which by --cluster NAME: {listed(clusters)}."
        raise errors.SettingsError("The ledger has several chains.", remedy=remedy)
    return clusters[0]
