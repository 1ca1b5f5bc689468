"""Words of the pages that the code writes too: labels, and names of what a person types."""

from __future__ import annotations

import re
from pathlib import Path

from exuvia.app import posture
from exuvia.model.specs.security_policy import Action

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    return " ".join((ROOT / name).read_text().split())


def test_the_action_of_a_reaction_is_called_as_in_the_metric() -> None:
    """`exuvia_reaction_seconds{action}` bears the action of the rule."""
    told = re.search(r"`action` is ([^;]*);", page("docs/metrics.md"))
    assert told is not None
    assert told.group(1) == f"`{Action.ROTATE}` or `{Action.QUARANTINE}`"


def test_where_the_command_is_stands_where_one_begins() -> None:
    for name in ("README.md", "docs/cli.md"):
        assert 'export PATH="$PWD/.venv/bin:$PATH"' in page(name)


def test_what_the_operator_says_of_itself_is_explained() -> None:
    for reason in (posture.WATCHING, posture.READ_ONLY, posture.UNINSTALLING):
        assert f"`{reason}`" in page("docs/events.md")
