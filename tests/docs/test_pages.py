"""What the pages say works: links lead somewhere, commands exist, YAML is accepted, lines of code run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from exuvia.cli import linting
from exuvia.cli.main import exuvia
from exuvia.evaluate.rules import RULES
from exuvia.model import cron, marks
from exuvia.model.specs.security_policy import SecurityPolicySpec
from exuvia.record import guarding, removal
from tests.docs import pages
from tests.docs.pages import DOCS, ROOT, Block
from tests.record import world

YAML = pages.blocks("yaml")
POLICY: dict[str, Any] = {
    "target": {"selector": {}},
    "rules": [{"name": "a", "type": "MaxAge", "maxAge": {"limit": "1h"}}],
}


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda one: one.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in pages.links(page):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{page.name} points to {target}"
        if anchor:
            assert anchor in pages.anchors(found), f"{page.name} points to {target}"


def test_there_is_something_to_check() -> None:
    assert len(YAML) > 15
    assert len(pages.blocks("python")) == 1
    assert sum(1 for page in pages.PAGES for _ in pages.calls(page, "exuvia")) > 50
    assert sum(1 for page in pages.PAGES for _ in pages.mentions(page, "exuvia")) > 60


@pytest.mark.parametrize("block", YAML, ids=lambda one: one.id)
def test_every_manifest_in_the_docs_is_right(block: Block) -> None:
    for body in yaml.safe_load_all(block.text):
        if isinstance(body, dict) and "apiVersion" in body and not body["apiVersion"].startswith(marks.GROUP):
            continue  # of Kubernetes itself: judged by its server, in test_examples
        found = linting.lint(block.id, yaml.safe_dump(_whole(body)))
        assert (found.ours, [str(one) for one in found.mistakes]) == (1, [])


def _whole(body: Any) -> Mapping[str, Any]:
    """A manifest; what is only a part of a policy is put into one."""
    if "apiVersion" in body:
        return dict(body)
    if "type" in body:
        body = {"rules": [body]}
    if set(body) == {"collectors"}:
        body = {"quarantine": {"evidence": body}}
    assert set(body) <= {field.alias or name for name, field in SecurityPolicySpec.model_fields.items()}, body
    return {
        "apiVersion": "exuvia.dev/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": "part"},
        "spec": {**POLICY, **body},
    }


def test_the_example_of_every_rule_is_of_that_rule() -> None:
    for one in RULES:
        assert yaml.safe_load(one.card.example)["type"] == one.card.name


def test_the_policy_of_the_readme_is_short() -> None:
    (block,) = [one for one in YAML if one.page.name == "README.md"]
    assert len(block.text.splitlines()) <= 14
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:50]
    for wanted in ("kind: SecurityPolicy", "make demo", "make test"):
        assert any(wanted in line for line in first_screen), wanted


@pytest.mark.parametrize("page", [*pages.PAGES, *pages.EXAMPLES], ids=lambda one: one.name)
def test_every_command_can_be_called_so(page: Path) -> None:
    for where, arguments in pages.calls(page, "exuvia"):
        command, rest = _command(where, arguments)
        if isinstance(command, click.Group):
            assert rest in ([], ["COMMAND"]), where
        elif "--help" not in rest:
            given = [one.replace("$WALK", "walk") for one in rest]
            _parse(where, command, given, in_full=page.name != "cli.md")


def _command(where: str, arguments: list[str]) -> tuple[click.Command, list[str]]:
    current: click.Command = exuvia
    while isinstance(current, click.Group) and arguments and arguments[0] not in ("COMMAND", "--help", "--version"):
        if arguments[0] in ("-v", "-h"):
            arguments = arguments[1:]
            continue
        found = current.get_command(click.Context(current), arguments[0])
        assert found is not None, f"{where}: there is no command {arguments[0]!r}"
        current, arguments = found, arguments[1:]
    return current, arguments


def _parse(where: str, command: click.Command, arguments: list[str], *, in_full: bool) -> None:
    """`in_full`: what is required must be there; usage lines name arguments only."""
    try:
        command.make_context(command.name, list(arguments))
    except click.MissingParameter as trouble:
        if in_full:
            pytest.fail(f"{where}: {trouble.format_message()}")
    except click.UsageError as trouble:
        pytest.fail(f"{where}: {trouble.format_message()}")


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda one: one.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    for where, arguments in pages.mentions(page, "exuvia"):
        command, rest = _command(where, [one for one in arguments if one not in ("--help", "--version", "...")])
        known = {name for one in command.params for name in one.opts}
        assert {one for one in rest if one.startswith("-")} <= known | {"-h"}, where


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in pages.PAGES:
        for where, arguments in (*pages.calls(page, "make"), *pages.mentions(page, "make")):
            targets = [one for one in arguments if "=" not in one]
            assert all(f"\n{one}:" in makefile for one in targets), where


def test_the_ten_lines_check_a_ledger(tmp_path: Path) -> None:
    (block,) = pages.blocks("python")
    assert block.page.name == "ledger.md"
    assert len([line for line in block.text.splitlines() if line]) <= 10
    file = tmp_path / "ledger.db"
    with world.written(file, world.birth("A"), world.verdict("A", "violating", 1), world.death("A", 2)):
        pass
    assert _check(block, file).startswith("c: sound, head 3:")
    with world.written(file, world.birth("B")) as connection:
        guarding.unguard(connection)
        connection.exec_driver_sql("update entries set body = replace(body, 'violating', 'compliant') where seq = 2")
        connection.commit()
    assert _check(block, file) == "c: entry 2 does not fit"


def test_the_ten_lines_go_on_behind_what_was_pruned(tmp_path: Path) -> None:
    (block,), file = pages.blocks("python"), tmp_path / "ledger.db"
    with world.written(file, world.birth("A"), world.birth("B"), world.death("B", 2), world.birth("C")):
        pass
    later = world.at(10**6)
    removal.prune(file, cut=later, keep="1d", by="alice", at=later, cluster="c")
    with world.written(file, world.death("A", 3), world.death("C", 3), world.birth("D", 4)):
        pass
    removal.prune(file, cut=later, keep="1d", by="alice", at=later, cluster="c")
    assert _check(block, file).startswith("c: sound, head 9:")
    with world.written(file, world.birth("E")) as connection:
        guarding.unguard(connection)
        connection.exec_driver_sql("delete from entries where seq = 8")
        connection.commit()
    assert _check(block, file) == "c: entry 8 does not fit"


def _check(block: Block, file: Path) -> str:
    done = subprocess.run([sys.executable, "-c", block.text, str(file)], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_the_table_of_daylight_saving_is_true() -> None:
    rows = pages.table(pages.section(DOCS / "brakes.md", "Schedules"))
    assert len(rows) == 4
    for schedule, zone, after, opens in rows:
        found = next(cron.firings(schedule, zone, datetime.fromisoformat(after)))
        assert found == datetime.fromisoformat(opens), (schedule, zone, after)
