"""No value of an environment variable and no data of a Secret ever reaches the disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.act.evidence.redaction import redacted
from tests.act.evidence.world import EvidenceWorld, custodian, order, pod


def test_names_stay_and_values_go() -> None:
    container = {
        "name": "app",
        "args": ["--verbose"],
        "env": [
            {"name": "PASSWORD", "value": "hunter2"},
            {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}},
        ],
    }

    assert redacted({"spec": {"containers": [container]}}) == {
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "args": ["--verbose"],
                    "env": [
                        {"name": "PASSWORD", "value": "(redacted)"},
                        {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}},
                    ],
                }
            ]
        }
    }


def test_an_annotation_that_holds_the_object_is_opened_and_redacted() -> None:
    held = json.dumps({"spec": {"containers": [{"name": "a", "env": [{"name": "P", "value": "hunter2"}]}]}})

    out = redacted({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": held}}})

    text = out["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert json.loads(text)["spec"]["containers"][0]["env"] == [{"name": "P", "value": "(redacted)"}]


def test_a_configuration_annotation_that_cannot_be_opened_goes_altogether() -> None:
    broken = {"a/last-applied-configuration": '{"env":[{"value":"hunter2"', "note": "hello", "env": "production"}

    out = redacted({"metadata": {"annotations": broken}})

    assert out["metadata"]["annotations"] == {
        "a/last-applied-configuration": "(redacted)",
        "note": "hello",
        "env": "production",
    }


def test_a_label_called_env_is_no_environment() -> None:
    assert redacted({"metadata": {"labels": {"env": "production"}}}) == {"metadata": {"labels": {"env": "production"}}}


def test_data_of_secrets_goes_alone_and_in_lists() -> None:
    secret: dict[str, Any] = {"kind": "Secret", "metadata": {"name": "db"}, "data": {"p": "aHVudGVyMg=="}}

    assert redacted(secret)["data"] == {"p": "(redacted)"}
    assert redacted({"kind": "SecretList", "items": [{"data": {"p": "x"}}]})["items"][0]["data"] == {"p": "(redacted)"}


async def test_no_file_holds_an_environment_value(tmp_path: Path) -> None:
    world = EvidenceWorld()
    one = pod("shop", "cart-1", env={"PASSWORD": "hunter2"})
    one["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(one)}
    world.pods = [one]
    keeper = custodian(world, tmp_path)
    await keeper.snapshot(order())

    await keeper.collect(order())

    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not any(b"hunter2" in content for content in written)
    assert any(b"PASSWORD" in content for content in written)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=100)
@given(wrapping=st.lists(st.sampled_from(["spec", "items", "template", "annotation", "list"]), max_size=5), noise=JSON)
def test_no_depth_of_wrapping_hides_a_value(wrapping: list[str], noise: Any) -> None:
    body: Any = {"env": [{"name": "P", "value": "hunter2"}], "noise": noise}
    for one in wrapping:
        match one:
            case "annotation":
                body = {"annotations": {"x/held": json.dumps(body)}}
            case "list":
                body = [body, noise]
            case _:
                body = {one: body, "noise": noise}

    assert "hunter2" not in json.dumps(redacted(body))
