"""The narrator: one line for each thing that happens, with the seconds since the start. Colour only on a terminal."""

from __future__ import annotations

import os
import sys
import time

import click


class Narrator:
    """Says each line once."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._said: set[str] = set()
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def chapter(self, text: str) -> None:
        """A new part of the story."""
        click.echo("")
        click.echo(click.style(text, bold=True) if self._colour else text)

    def say(self, text: str) -> None:
        """A line, with the time."""
        click.echo(f"  {self.seconds:6.1f} s  {text}")

    def once(self, text: str) -> None:
        """A line that was not said before."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def check(self, text: str, good: bool) -> None:
        """Whether a part of the story came true."""
        mark = "ok  " if good else "FAIL"
        if self._colour:
            mark = click.style(mark, fg="green" if good else "red")
        click.echo(f"  {mark}  {text}")
