"""`exuvia`, also `kubectl exuvia`: one group whose commands are loaded only when they are called.

Adding a command is one file and one line in `COMMANDS`. Errors are one line: cause and next step; a traceback only
with -v. Exit codes as `kubectl diff`: 0 nothing to do, 1 findings, 2 and above an error; 130 when interrupted, 141 when
nobody reads on.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from exuvia import errors
from exuvia.report.printable import printable

ENVIRONMENT_PREFIX = "EXUVIA"
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141
"""Nobody reads on, as after `| head`: what a shell says of a program that SIGPIPE ended."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a command lives (`module:attribute`), and its line in `exuvia --help`."""

    target: str
    help: str


COMMANDS: dict[str, Entry] = {
    "abort": Entry(target="exuvia.cli.operate:abort", help="Call a Rotation off and put the machine back as it was."),
    "demo": Entry(target="exuvia.cli.demo:command", help="A local control plane, a simulated fleet, the whole story."),
    "dev": Entry(target="exuvia.cli.dev:dev", help="A local control plane and a simulated cloud to try things on."),
    "doctor": Entry(target="exuvia.cli.doctor:doctor", help="Is everything there that exuvia needs?"),
    "evidence": Entry(target="exuvia.cli.evidence:evidence", help="What was kept of quarantined machines."),
    "explain": Entry(target="exuvia.cli.explain:explain_", help="Why a machine is, or is not, rotated."),
    "feed": Entry(target="exuvia.cli.feed:feed", help="What the world says of vulnerabilities, from files."),
    "ledger": Entry(target="exuvia.cli.ledger:ledger", help="Ask the history: lives, names, what ran where."),
    "license": Entry(target="exuvia.cli.license:license_", help="Licence seats: what was used, is needed, would be."),
    "lint": Entry(target="exuvia.cli.lint:lint", help="Check manifests, each mistake with its line."),
    "pause": Entry(target="exuvia.cli.guard:pause", help="Let nothing disruptive begin or go on."),
    "quarantine": Entry(target="exuvia.cli.operate:quarantine", help="Freeze one machine and keep the evidence."),
    "release": Entry(target="exuvia.cli.operate:release", help="End a quarantine by your decision."),
    "resume": Entry(target="exuvia.cli.guard:resume", help="Take your pause out, or let a halted pool go on."),
    "risk": Entry(target="exuvia.cli.risk:risk", help="How risky the fleet really was, by what was known when."),
    "rotate": Entry(target="exuvia.cli.operate:rotate", help="Replace one machine."),
    "uninstall": Entry(target="exuvia.cli.uninstall:uninstall", help="End all that is open before exuvia is deleted."),
    "run": Entry(target="exuvia.cli.run:command", help="The operator, in a cluster or beside it."),
    "status": Entry(target="exuvia.cli.status:status", help="Policies, brakes, and operations under way."),
}


class LazyGroup(click.Group):
    """Imports the module of a command when it is called, so that `--help` and completion stay fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the table."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        _flat_environment(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it cannot go on with becomes one line and an exit code."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                _flush()  # here it can be said that it fails
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort) as stop:
            if str(stop):
                click.echo(f"interrupted: {stop}", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            _drop_output()
            ctx.exit(EXIT_UNREAD)
        except Exception as trouble:
            _say(trouble, verbose=bool(ctx.params.get("verbose")))
            ctx.exit(EXIT_ERROR)


def _flat_environment(command: click.Command) -> None:
    """Every option of every command is `EXUVIA_<OPTION>`, whatever the depth of the command."""
    command.context_settings.setdefault("auto_envvar_prefix", ENVIRONMENT_PREFIX)
    command.context_settings.setdefault("help_option_names", ["-h", "--help"])
    if isinstance(command, click.Group):
        for one in command.commands.values():
            _flat_environment(one)


def _say(trouble: Exception, *, verbose: bool) -> None:
    if verbose:
        traceback.print_exception(trouble)
    click.echo(printable(f"error: {_sentence(trouble)}", lines=True), err=True)


def _sentence(trouble: Exception) -> str:
    if isinstance(trouble, errors.ExuviaError):
        return str(trouble)
    if isinstance(trouble, OSError) and trouble.errno in _NO_ROOM and trouble.filename is None:
        _drop_output()
        said = f"The output, or a temporary file, cannot be written: {trouble.strerror}."
        return f"{said} Free room where it goes (TMPDIR says where the latter is), or send it elsewhere."
    return f"{type(trouble).__name__}: {trouble}. This was not foreseen; run it again as `exuvia -v ...` and report it."


def _flush() -> None:
    """Print what still waits; one that was started with its output closed (`>&-`) prints nothing."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _drop_output() -> None:
    """What still waits to be printed goes nowhere, so that the end of the program does not complain of it again."""
    if sys.stdout is None:
        return
    with suppress(OSError, ValueError):  # where it is no file of the system nothing waits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=LazyGroup,
    context_settings={"auto_envvar_prefix": ENVIRONMENT_PREFIX, "help_option_names": ["-h", "--help"]},
)
@click.option("-v", "--verbose", is_flag=True, help="Say more; errors come with a traceback.")
@click.version_option(package_name="exuvia")
def exuvia(verbose: bool) -> None:
    """The hygiene of ephemeral machines: rotate, quarantine, remember and prove.

    Every option can also be given as a variable EXUVIA_<OPTION>.
    """


def main() -> None:
    """The entry point of `exuvia` and `kubectl-exuvia`."""
    exuvia(prog_name=_program())


def _program() -> str:
    return "kubectl exuvia" if sys.argv[0].endswith("kubectl-exuvia") else "exuvia"


if __name__ == "__main__":
    main()
