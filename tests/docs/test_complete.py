"""What is not documented fails: every rule, reason, metric, brake, command and option has its place in docs/."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata

import click
import pytest
from pydantic import BaseModel

from exuvia.act.evidence import COLLECTORS, api_objects
from exuvia.act.evidence import manifest as manifests
from exuvia.act.evidence.manifest import Manifest
from exuvia.act.providers import PROVIDERS
from exuvia.app import naming
from exuvia.app.manifests import admission, alerts
from exuvia.cli import explain
from exuvia.cli.main import COMMANDS
from exuvia.decide import freezing
from exuvia.decide.brakes import status as brake_status
from exuvia.decide.brakes import table as brakes
from exuvia.decide.brakes.picture import paint
from exuvia.decide.census import Census
from exuvia.decide.drain import Lot
from exuvia.evaluate.rules import RULES
from exuvia.localcluster import fleet
from exuvia.localcluster.cloud import groups
from exuvia.model import cron, facts, marks
from exuvia.model.blocking import View
from exuvia.model.evidence import EvidenceOrder, ItemResult
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.model.instances import Reference
from exuvia.model.planning import Moment
from exuvia.model.reasons import BlockedReason, EndReason, EventReason
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs import fleet_guard, quarantine, security_policy
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import QuarantinePhase
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.specs.security_policy import SecurityPolicySpec
from exuvia.report.metrics import CATALOGUE
from tests.docs import generated, pages
from tests.docs.pages import DOCS, ROOT

EVENTS = DOCS / "events.md"


def _text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _says(page: str, word: str) -> bool:
    """Whether a page names a word, as a word."""
    return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", _text(page)) is not None


def _unsaid(page: str, words: Iterable[str]) -> list[str]:
    return [one for one in words if not _says(page, one)]


def test_tables_made_from_the_code_are_fresh() -> None:
    stale = [one.name for one in generated.pages() if generated.fresh(one.read_text("utf-8")) != one.read_text("utf-8")]
    assert not stale, f"{', '.join(stale)}: run `make docs`"


def test_every_table_that_can_be_made_stands_somewhere() -> None:
    marked = {
        name for one in generated.pages() for name in re.findall(r"made from the code: ([a-z-]+)", one.read_text())
    }
    assert marked == set(generated.SECTIONS)


@pytest.mark.parametrize(
    ("heading", "words"),
    [("Event reasons", EventReason), ("Blocked reasons", BlockedReason), ("End reasons", EndReason)],
)
def test_every_reason_has_a_row_and_no_row_is_left_over(heading: str, words: type[StrEnum]) -> None:
    rows = pages.table(pages.section(EVENTS, heading))
    assert [row[0] for row in rows] == list(dict.fromkeys(row[0] for row in rows)), "no reason stands there twice"
    assert {row[0] for row in rows} == {str(one) for one in words}
    assert all(cell for row in rows for cell in row), "every reason says what it means, and what to do"


def test_every_metric_and_alert_is_named() -> None:
    assert _unsaid("metrics.md", [one.name for one in CATALOGUE]) == []
    assert _unsaid("metrics.md", [one.name for one in alerts.ALERTS]) == []


def test_no_metric_is_named_that_does_not_exist() -> None:
    known = {one.name for one in CATALOGUE}
    for page in pages.PAGES:
        said = set(re.findall(r"\bexuvia_[a-z_]+", page.read_text(encoding="utf-8")))
        assert {one.removesuffix("_bucket") for one in said} <= known, page.name


def test_every_rule_provider_and_collector_has_its_card() -> None:
    for page, cards in (
        ("policies.md", [one.card for one in RULES]),
        ("rotation.md", [one.card for one in PROVIDERS]),
        ("quarantine.md", [one.card for one in COLLECTORS]),
    ):
        assert [one.name for one in cards if f"### {one.name}\n" not in _text(page)] == []
    assert _unsaid("policies.md", list(security_policy.RuleType)) == []
    assert _unsaid("policies.md", list(security_policy.CollectorType)[2:]) == []


def test_every_field_of_a_policy_is_named() -> None:
    text = "".join(_text(one) for one in ("policies.md", "brakes.md", "rotation.md", "quarantine.md"))
    missing = [name for name in _fields(SecurityPolicySpec) if not re.search(rf"\b{name}\b", text)]
    assert [one for one in missing if one not in _of_later_rules()] == []


def test_every_field_of_the_fleet_guard_has_a_row() -> None:
    rows = {row[0].removeprefix("quarantine.") for row in pages.table(pages.section(DOCS / "brakes.md", "FleetGuard"))}
    top = {name for name in _fields(fleet_guard.FleetGuardSpec, deep=False) if name != "quarantine"}
    assert top | set(_fields(fleet_guard.QuarantineCaps)) <= rows


def test_every_brake_is_named() -> None:
    used = {*brakes.ROTATION_BRAKES, *brakes.QUARANTINE_BRAKES, *brakes.RELEASE_BRAKES}
    assert {one.__name__ for one in used if one not in naming.BRAKES} == set()
    titles = {row[0] for row in pages.table(pages.section(DOCS / "brakes.md", "The table"))}
    assert {naming.name_of(one).title for one in used} <= titles


def _names_in_status() -> list[str]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    guard = fleet_guard.FleetGuard.parse({"metadata": {"name": "default"}, "spec": {}})
    moment = Moment(
        guard=guard,
        view=View(oldest=now),
        ledger=LedgerHealth(state=LedgerState.FINE),
        pods_on=lambda _: (),
        settings_for=lambda _: FrozenSettings(),
        provider_for=lambda _: ProviderFacts(),
    )
    return [one.name for one in brake_status.brake_statuses(paint(moment, Census(), {}, now))]


def test_every_brake_of_the_status_has_a_row_and_no_row_is_left_over() -> None:
    rows = pages.table(pages.section(DOCS / "brakes.md", "The state of every brake"))
    assert {row[0] for row in rows} == set(_names_in_status())


def test_every_command_and_every_option_is_named() -> None:
    for path, command in generated.commands():
        section = pages.section(DOCS / "cli.md", path)
        for one in command.params:
            words = one.opts if isinstance(one, click.Option) else [one.human_readable_name]
            assert [word for word in words if word not in section] == [], path
    overview = pages.section(DOCS / "cli.md", "What for")
    assert [one for one in COMMANDS if one not in ("run",) and f"`exuvia {one}" not in overview] == []


def test_every_phase_has_a_row() -> None:
    for page, phases in (("rotation.md", RotationPhase), ("quarantine.md", QuarantinePhase)):
        rows = {row[0] for row in pages.table(pages.section(DOCS / page, "Phases"))}
        assert rows == {str(one) for one in phases}


def test_every_kind_of_entry_and_reason_of_death_is_named() -> None:
    rows = pages.table(pages.section(DOCS / "ledger.md", "What it holds"))
    assert {row[0] for row in rows} == {str(one) for one in facts.FactKind}
    assert [one for one in facts.DeathReason if f"`{one}`" not in _text("ledger.md")] == []


def test_every_mark_is_named() -> None:
    of_nodes = (marks.STATE_LABEL, marks.EXCLUDE_LOAD_BALANCERS_LABEL, marks.OPERATION_ANNOTATION, marks.ROTATING_TAINT)
    assert _unsaid("rotation.md", [*of_nodes, *marks.POD_DRAIN_LABELS]) == []
    assert (
        _unsaid("quarantine.md", [marks.QUARANTINED_TAINT, marks.KUBELET_PROOF_LABEL, marks.QUARANTINE_POD_LABEL]) == []
    )
    assert _unsaid("brakes.md", [*marks.OPT_OUTS, marks.SAFE_TO_EVICT, *marks.POOL_LABELS]) == []


def test_every_treatment_of_a_pod_is_named() -> None:
    assert _unsaid("quarantine.md", list(freezing.Treatment)) == []


def test_every_admission_policy_is_named() -> None:
    assert _unsaid("operations.md", [one.name for one in admission.GUARDS]) == []


def test_every_macro_of_a_schedule_is_named() -> None:
    assert [one for one in cron.MACROS if f"`{one}`" not in _text("brakes.md")] == []


def test_the_simulated_cloud_is_whole() -> None:
    page = "local-cluster.md"
    fields = [*groups.Group.__struct_encode_fields__, *groups.Faults.__struct_encode_fields__]
    assert _unsaid(page, [*fields, *groups.Image.__struct_encode_fields__]) == []
    annotations = (fleet.NOT_READY, fleet.BOOT, fleet.START_DELAY, fleet.COMPLETE_AFTER, fleet.DELETION_DELAY)
    assert _unsaid(page, annotations) == []


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / one.partition("#")[0]).resolve() for one in pages.links(ROOT / "README.md")}
    missing = [one.name for one in DOCS.glob("*.md") if one.resolve() not in linked]
    assert missing == []


def test_every_example_is_named_in_the_docs() -> None:
    text = "".join(one.read_text(encoding="utf-8") for one in pages.PAGES)
    assert [one.name for one in pages.EXAMPLES if f"examples/{one.name}" not in text] == []


def test_the_changelog_has_a_place_for_what_is_not_released() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]\n\n### ", changelog, re.MULTILINE)


def _fields(model: type[BaseModel], *, deep: bool = True) -> Iterator[str]:
    """The names on the wire of a model's fields, and of those inside."""
    for name, field in model.model_fields.items():
        yield field.alias or name
        for inner in _models(field.annotation) if deep else ():
            yield from _fields(inner)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in getattr(annotation, "__args__", ()):
        yield from _models(one)


def _of_later_rules() -> set[str]:
    """Fields of what is not served yet; the docs name the types."""
    later = [one for one in security_policy.RuleType if one not in security_policy.SERVED_RULES]
    rule = security_policy.Rule.model_fields
    names = {field.alias or name: field for name, field in rule.items()}
    found = {security_policy.MEMBERS[one] for one in later}
    for member in list(found):
        for model in _models(names[member].annotation):
            found |= set(_fields(model))
    return found | set(_fields(security_policy.PrometheusGate)) | {"prometheus"}


def test_adrs_are_numbered_without_gaps_and_have_their_parts() -> None:
    adrs = sorted((DOCS / "adr").glob("*.md"))
    assert [int(one.name[:4]) for one in adrs] == list(range(1, len(adrs) + 1))
    for one in adrs:
        text = one.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(one.name[:4])}. "), one.name
        assert [part for part in ("Context.", "Decision.", "Rejected.", "Consequences.") if part not in text] == []


def test_every_page_has_a_title() -> None:
    assert [one.name for one in pages.PAGES if not one.read_text(encoding="utf-8").startswith("# ")] == []


def test_images_that_are_named_are_of_this_version() -> None:
    for page in pages.PAGES:
        named = re.findall(r"\bexuvia:(\d[\w.]*)", page.read_text(encoding="utf-8"))
        assert {one.rstrip(".") for one in named} <= {metadata.version("exuvia")}, page.name


def test_the_sample_of_explain_has_its_headings() -> None:
    sample = pages.section(DOCS / "cli.md", "Reading `exuvia explain`")
    source = inspect.getsource(explain)
    for line in sample.splitlines():
        if re.fullmatch(r"[A-Z]+(?: [A-Z]+)*(?:  +[A-Z]+(?: [A-Z]+)*)*", line):
            for heading in re.split(r"  +", line):
                assert heading.replace(" ROTATION", " {kind.upper()}") in source, heading
    assert [one for one in Lot if one not in sample] == []


def test_the_manifest_of_evidence_is_told_key_by_key() -> None:
    order = EvidenceOrder(quarantine="q", uid="U", instance=Reference(name="a", uid="A"), collectors=())
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = Manifest(header=manifests.header_of(order, {}), started=now, finished=now)
    rows = [row[0] for row in pages.table(pages.section(DOCS / "quarantine.md", "Evidence"))]
    told = {key.strip("` ") for row in rows for key in row.split(",")} - {"since"}
    assert told == set(json.loads(manifests.encode(made)))
    assert _unsaid("quarantine.md", [*api_objects.PARTS, *ItemResult]) == []


@pytest.mark.parametrize("part", [quarantine.CapacityStatus, quarantine.IsolationStatus])
def test_every_state_of_a_quarantine_is_named(part: type[BaseModel]) -> None:
    words = re.findall(r"[A-Z]\w+", str(part.model_json_schema()["properties"]["state"]["pattern"]))
    assert len(words) >= 3
    assert _unsaid("quarantine.md", words) == []
