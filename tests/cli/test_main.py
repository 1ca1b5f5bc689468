"""The group `exuvia`: quick to ask for help, errors in one line, exit codes that scripts can use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from exuvia import errors
from exuvia.cli import main
from exuvia.cli.main import Entry, exuvia


@click.command()
@click.option("--thing", default="nothing")
def _trial(thing: str) -> None:
    """A command for these tests."""
    raise {
        "known": errors.SettingsError("The thing is wrong.", remedy="Name another."),
        "unknown": ValueError("out of range"),
        "interrupted": KeyboardInterrupt(),
        "usage": click.UsageError("no such thing"),
    }.get(thing, SystemExit(f"thing={thing}"))


@pytest.fixture(autouse=True)
def _a_trial_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.COMMANDS, "trial", Entry(target=f"{__name__}:_trial", help="A trial."))


def test_help_names_every_command_without_importing_any() -> None:
    code = (
        "import sys; from exuvia.cli.main import exuvia; exuvia(['--help'], standalone_mode=False);"
        "heavy = {'kopf', 'kubernetes', 'sqlalchemy', 'aiohttp', 'pydantic'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    for name, entry in main.COMMANDS.items():
        assert name == "trial" or f"{name} " in done.stdout
        assert len(entry.help) < 80


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_every_command_of_the_table_is_there(name: str) -> None:
    command = exuvia.get_command(click.Context(exuvia), name)

    assert command is not None
    assert command.help, f"{name} says nothing about itself"


def _leaves(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of every command that demands an option, with something for what it demands without one."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            assert one is not None
            yield from _leaves(one, *path, name)
    elif any(isinstance(one, click.Option) and one.required for one in command.params):
        yield (*path, *("x" for one in command.params if isinstance(one, click.Argument) and one.required))


@pytest.mark.parametrize("words", list(_leaves(exuvia)), ids=" ".join)
def test_an_option_that_is_demanded_and_missing_is_named(words: tuple[str, ...]) -> None:
    clean = {
        f"EXUVIA_{name}": None for name in ("FROM", "KEEP", "LEDGER", "REASON", "SEATS", "STATE", "SUBJECT", "TIME")
    }
    done = CliRunner(env=clean).invoke(exuvia, list(words))
    assert done.exit_code == 2
    assert "Error: Missing option '--" in done.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    done = CliRunner().invoke(exuvia, ["nonsense"])

    assert done.exit_code == 2
    assert "No such command 'nonsense'" in done.stderr


def test_an_error_is_one_line_with_the_next_step() -> None:
    done = CliRunner().invoke(exuvia, ["trial", "--thing", "known"])

    assert (done.exit_code, done.stderr) == (2, "error: The thing is wrong. Name another.\n")


def test_an_unforeseen_error_is_one_line_too() -> None:
    done = CliRunner().invoke(exuvia, ["trial", "--thing", "unknown"])

    assert done.exit_code == 2
    assert done.stderr.startswith("error: ValueError: out of range. This was not foreseen")
    assert done.stderr.count("\n") == 1


def test_a_traceback_comes_with_verbose() -> None:
    done = CliRunner().invoke(exuvia, ["-v", "trial", "--thing", "known"])

    assert done.exit_code == 2
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith("error: The thing is wrong. Name another.\n")


def test_an_interruption_is_130() -> None:
    assert CliRunner().invoke(exuvia, ["trial", "--thing", "interrupted"]).exit_code == 130


def test_a_usage_error_of_a_command_keeps_its_words() -> None:
    done = CliRunner().invoke(exuvia, ["trial", "--thing", "usage"])

    assert done.exit_code == 2
    assert "Error: no such thing" in done.stderr


def test_an_option_is_a_variable_whatever_the_command() -> None:
    done = CliRunner().invoke(exuvia, ["trial"], env={"EXUVIA_THING": "variable"})

    assert "thing=variable" in done.output


def test_the_version_is_said() -> None:
    assert CliRunner().invoke(exuvia, ["--version"]).output.startswith("exuvia, version ")
