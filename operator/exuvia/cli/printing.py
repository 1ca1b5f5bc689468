"""How commands answer: tables for people, JSON and YAML for programs, and exit codes as `kubectl diff`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from exuvia.report import text
from exuvia.report.printable import printable
from exuvia.report.text import Rows

EXIT_FINDINGS = 1

_Command = TypeVar("_Command", bound=Callable[..., Any])


def output_option(command: _Command) -> _Command:
    """`-o table|json|yaml`."""
    return click.option(
        "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True,
        help="How to print.",
    )(command)  # fmt: skip


def show(sections: Sequence[tuple[str, Rows]], data: Any, output: str) -> None:
    """Several tables, each under its title and passed over when it is empty; or `data` as one document."""
    if output != "table":
        text.render(Rows(headings=(), rows=(), data=data), output)
        return
    filled = [(title, rows) for title, rows in sections if rows.rows]
    for index, (title, rows) in enumerate(filled):
        if index:
            click.echo()
        if title:
            say(title)
        text.render(rows, output)


def say(words: str, *, err: bool = False, nl: bool = True) -> None:
    """A sentence for people, or several lines. What others wrote in it does nothing to the terminal."""
    click.echo(printable(words, lines=True), err=err, nl=nl)


def finish(*, findings: bool) -> None:
    """End with exit code 1 when there is something to look at, else return."""
    if findings:
        raise click.exceptions.Exit(EXIT_FINDINGS)


def since(moment: datetime | None, now: datetime) -> str:
    """How long ago, as kubectl shows an age; "" when it is not known."""
    return "" if moment is None else text.duration(now - moment)


def span(length: timedelta) -> str:
    """A span of time for people."""
    return text.duration(length)


def one_line(words: str, limit: int = 0) -> str:
    """Without line breaks and what is not printable; cut to a limit where one is given. Cells of tables have none: a
    terminal wraps them."""
    flat = printable(" ".join(words.split()))
    return flat if not limit or len(flat) <= limit else flat[: limit - 1] + "…"


def count(number: int, thing: str) -> str:
    """`1 machine`, `2 machines`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
