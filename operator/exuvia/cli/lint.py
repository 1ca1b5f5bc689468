"""`exuvia lint FILE...`: every mistake in manifests of exuvia, with its line, before they reach a cluster."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from exuvia import errors
from exuvia.cli import linting, printing


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@printing.output_option
def lint(files: tuple[str, ...], output: str) -> None:
    """Check manifests: schema, CEL (with line and caret), schedules, zones, regexes, and what is not served yet.

    A FILE may hold several documents; objects of other groups are passed over; `-` is standard input; a folder stands
    for all its *.yaml and *.yml files. Exit code 1 when something is wrong.
    """
    found = [linting.lint(name, text) for name, text in _texts(files)]
    mistakes = [one for linted in found for one in linted.mistakes]
    if output == "table":
        printing.say("".join(f"{one}\n" for one in mistakes), nl=False)
        printing.say(_summary(found, len(mistakes)), err=True)
    else:
        printing.show([], [dataclasses.asdict(one) for one in mistakes], output)
    printing.finish(findings=bool(mistakes))


def _summary(found: list[linting.Linted], mistakes: int) -> str:
    ours, others = sum(one.ours for one in found), sum(one.others for one in found)
    passed = f", {others} of other groups passed over" if others else ""
    return f"{ours} checked{passed}: {'no mistake' if not mistakes else f'{mistakes} to mend'}"


def _texts(files: tuple[str, ...]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in files:
        if name == "-":
            found.append(("-", sys.stdin.read()))
            continue
        found += [(str(path), _read(path)) for path in _inside(Path(name))]
    return found


def _inside(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(one for one in path.rglob("*") if one.suffix in (".yaml", ".yml"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as trouble:
        raise errors.SettingsError(f"{path} cannot be read: {trouble.strerror}.", remedy="Name a file.") from trouble
    except UnicodeDecodeError as trouble:
        raise errors.SettingsError(f"{path} is no text in UTF-8.", remedy="Save it as UTF-8.") from trouble
