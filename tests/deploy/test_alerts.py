"""The alerts, judged by Prometheus' own tool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy import promtool
from tests.deploy.calling import ROOT

FOLDER = ROOT / "deploy" / "alerts"


@pytest.fixture(scope="module")
def tool() -> Path:
    try:
        return promtool.find()
    except promtool.Missing as trouble:
        pytest.fail(str(trouble), pytrace=False)


def _run(tool: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(tool), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)


def test_the_rules_pass_the_strictest_check(tool: Path) -> None:
    done = _run(tool, "check", "rules", "--lint=all", "--lint-fatal", "exuvia.rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_must_and_only_then(tool: Path) -> None:
    done = _run(tool, "test", "rules", "exuvia.rules.test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    rules = yaml.safe_load((FOLDER / "exuvia.rules.yaml").read_text("utf-8"))["groups"][0]["rules"]
    cases = yaml.safe_load((FOLDER / "exuvia.rules.test.yaml").read_text("utf-8"))["tests"]
    asked = {(one["alertname"], bool(one["exp_alerts"])) for case in cases for one in case["alert_rule_test"]}
    assert asked == {(rule["alert"], fires) for rule in rules for fires in (True, False)}


def test_without_promtool_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(promtool.Missing, match="make tools"):
        promtool.find()
