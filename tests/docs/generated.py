"""`python -m tests.docs.generated [--check]`: the tables of docs/ that are made from the code.

A table stands between `<!-- made from the code: NAME -->` and `<!-- end -->`; what stands around it is written by hand.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

from exuvia.act.evidence import COLLECTORS
from exuvia.act.providers import PROVIDERS
from exuvia.app import naming
from exuvia.app.manifests import admission, alerts, declared, rbac
from exuvia.cli.main import COMMANDS, ENVIRONMENT_PREFIX, exuvia
from exuvia.decide.brakes import table as brakes
from exuvia.evaluate.rules import RULES
from exuvia.model.cards import Card
from exuvia.model.permissions import Duty
from exuvia.report.metrics import CATALOGUE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WIDTH = 120
_SECTION = re.compile(r"(<!-- made from the code: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Rows = Iterable[tuple[str, ...]]

_ONLY_WITH = {Duty.EXPLAIN: " (read-only only)", Duty.INTAKE: " (with the intake only)"}


def grid(headings: tuple[str, ...], rows: Rows) -> str:
    """A table of Markdown; a bar inside a cell would end it."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _cards(cards: Iterable[Card]) -> str:
    return "\n".join(_card(one) for one in cards)


def _card(card: Card) -> str:
    said = f"### {card.name}\n\n{_wrapped(card.description)}\n"
    if card.parameters:
        said += "\n" + grid(("parameter", "meaning"), ((f"`{name}`", text) for name, text in card.parameters))
    return said + (f"\n```yaml\n{card.example}\n```\n" if card.example else "")


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def _metrics() -> str:
    rows = (
        (f"`{one.name}`", str(one.type), ", ".join(f"`{label}`" for label in one.labels), one.help) for one in CATALOGUE
    )
    return grid(("metric", "type", "labels", "meaning"), rows)


def _alerts() -> str:
    rows = ((f"`{one.name}`", one.severity, one.hold, one.description) for one in alerts.ALERTS)
    return grid(("alert", "severity", "after", "what it says, and what to do"), rows)


def _brakes() -> str:
    order = [*brakes.ROTATION_BRAKES, *(one for one in brakes.QUARANTINE_BRAKES if one not in brakes.ROTATION_BRAKES)]

    def mark(there: bool) -> str:
        return "yes" if there else "-"

    rows = (
        (
            naming.name_of(one).title,
            mark(one in brakes.ROTATION_BRAKES),
            mark(one in brakes.QUARANTINE_BRAKES),
            mark(one not in brakes.POLICY_BRAKES),
            _way(naming.name_of(one)),
        )
        for one in order
    )
    return grid(("brake", "Rotation", "Quarantine", "by hand too", "to change it"), rows)


def _way(words: naming.BrakeName) -> str:
    return f"{words.change}; of a Quarantine: {words.for_quarantine}" if words.for_quarantine else words.change


def _rights() -> str:
    rights = declared.permissions()
    wide = [one for one in rights if not one.own_namespace]
    rows = [row for duty in Duty for row in _rules(_role(duty), rbac.rules(one for one in wide if one.duty is duty))]
    rows += _rules("exuvia (in exuvia-system only)", rbac.rules(one for one in rights if one.own_namespace))
    return grid(("role", "group", "resources", "verbs"), rows)


def _role(duty: Duty) -> str:
    return rbac.role_name(duty) + _ONLY_WITH.get(duty, "")


def _rules(role: str, found: Iterable[rbac.Rule]) -> Iterator[tuple[str, ...]]:
    for one in found:
        only = f" ({', '.join(one['resourceNames'])})" if "resourceNames" in one else ""
        yield role, one["apiGroups"][0] or "core", ", ".join(one["resources"]) + only, ", ".join(one["verbs"])


def _admission() -> str:
    rows = ((f"`{one.name}`", one.about) for one in admission.GUARDS)
    return grid(("policy", "what the API server refuses"), rows)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, groups too."""
    context = click.Context(exuvia)
    for name in sorted(COMMANDS):
        found = exuvia.get_command(context, name)
        assert found is not None
        yield from _with_children(f"exuvia {name}", found)


def _with_children(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _with_children(f"{path} {name}", command.commands[name])


def _commands() -> str:
    return "\n".join(_command(path, one) for path, one in commands())


def _command(path: str, command: click.Command) -> str:
    arguments = [one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)]
    usage = " ".join([path, *(["COMMAND"] if isinstance(command, click.Group) else []), *arguments])
    text = _wrapped(command.help or "")
    options = [one for one in command.params if isinstance(one, click.Option)]
    said = f"### {path}\n\n    {usage}\n\n{text}\n"
    if options:
        said += "\n" + grid(("option", "variable", "default", "meaning"), (_option(one) for one in options))
    return said


def _option(one: click.Option) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`" for name in one.opts)
    value = "" if one.is_flag else f" {_value(one)}"
    default = "required" if one.required else _default(one)
    return names + value, f"`{_variable(one)}`", default, one.help or _choices(one)


def _value(one: click.Option) -> str:
    if isinstance(one.type, click.Choice):
        return "`" + "`, `".join(str(choice) for choice in one.type.choices) + "`"
    return one.metavar or (one.name or "").upper().replace("_", "-")


def _choices(one: click.Option) -> str:
    return f"One of {_value(one)}."


def _variable(one: click.Option) -> str:
    if isinstance(one.envvar, str):
        return one.envvar
    return f"{ENVIRONMENT_PREFIX}_{(one.name or '').upper()}"


def _default(one: click.Option) -> str:
    given = one.to_info_dict()["default"]
    return f"`{given}`" if isinstance(given, (str, int)) and not isinstance(given, bool) and given != "" else ""


SECTIONS: Mapping[str, Callable[[], str]] = {
    "rules": lambda: _cards(one.card for one in RULES),
    "providers": lambda: _cards(one.card for one in PROVIDERS),
    "collectors": lambda: _cards(one.card for one in COLLECTORS),
    "metrics": _metrics,
    "alerts": _alerts,
    "brakes": _brakes,
    "rights": _rights,
    "admission": _admission,
    "commands": _commands,
}


def fresh(text: str) -> str:
    """The text of a page with every made section as the code says now."""
    return _SECTION.sub(lambda found: f"{found[1]}\n{SECTIONS[found['name']]()}\n{found[3]}", text)


def pages() -> list[Path]:
    """Every page that has such a section."""
    return [one for one in sorted(DOCS.rglob("*.md")) if _SECTION.search(one.read_text(encoding="utf-8"))]


def main(arguments: list[str]) -> int:
    """Write them anew, or say which are stale (exit 1)."""
    stale = [one for one in pages() if one.read_text(encoding="utf-8") != fresh(one.read_text(encoding="utf-8"))]
    for one in stale:
        if "--check" in arguments:
            print(f"stale: {one.relative_to(ROOT)}; run `make docs`")
        else:
            one.write_text(fresh(one.read_text(encoding="utf-8")), encoding="utf-8")
            print(f"wrote {one.relative_to(ROOT)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
