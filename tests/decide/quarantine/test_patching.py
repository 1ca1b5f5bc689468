"""The merge patch of a status: only what changes is in it, phases go forward, what was done once stays known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from exuvia.decide.patching import stamp
from exuvia.decide.quarantine import patching
from exuvia.decide.quarantine.patching import Patch, won
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase

from .world import NOW, quarantine

STEP = "Freezing"
LATER = NOW + timedelta(minutes=1)


def _after(one: Quarantine, patch: Patch) -> Quarantine:
    return won(one, patch.body)


def test_nothing_changes_nothing() -> None:
    one = quarantine()
    patch = Patch(one, NOW).phase(QuarantinePhase.PENDING).blocked(None)
    assert patch.body == {}


def test_phases_go_forward_only() -> None:
    held = won(quarantine(), {"phase": "Held"})
    assert Patch(held, NOW).phase(QuarantinePhase.SEALED).body == {}
    assert Patch(held, NOW).phase(QuarantinePhase.RELEASED).body == {"phase": "Released"}


def test_a_patch_that_was_won_may_be_laid_on_again() -> None:
    one = quarantine()
    patch = Patch(one, NOW).began(STEP).custody("alice", "looked").set(before={"unschedulable": True}).body
    assert won(won(one, patch), patch) == won(one, patch)


def test_null_takes_a_field_away() -> None:
    one = won(quarantine(), {"drain": {"remaining": 3}, "evidence": {"digest": "x", "attempts": 2}})
    after = won(one, {"drain": None, "evidence": {"digest": ""}})
    assert after.status.drain is None
    assert after.status.evidence is not None
    assert (after.status.evidence.digest, after.status.evidence.attempts) == ("", 2)


def test_when_a_step_was_done_first_stays() -> None:
    one = _after(quarantine(), Patch(quarantine(), NOW).began(STEP).ended(STEP))
    again = _after(one, Patch(one, LATER).ended(STEP))
    assert again.status.steps[0].finished_at == NOW
    failed = _after(one, Patch(one, LATER).failed(STEP, "Forbidden", "no right"))
    assert patching.finished(failed, STEP)
    assert patching.trouble_of(failed, STEP) == (BlockedReason.FORBIDDEN, "no right")
    healed = _after(failed, Patch(failed, LATER).ended(STEP))
    assert patching.trouble_of(healed, STEP) is None
    assert healed.status.steps[0].finished_at == NOW


def test_a_failed_step_waits_at_least_a_moment_and_as_long_as_asked() -> None:
    for asked, waits in ((timedelta(seconds=1), patching.RETRY), (timedelta(minutes=2), timedelta(minutes=2))):
        one = _after(quarantine(), Patch(quarantine(), NOW).failed(STEP, "", "timed out", asked))
        assert patching.retry_at(one, STEP) == NOW + waits
        assert patching.waits(one, STEP, NOW + waits - timedelta(seconds=1))
        assert not patching.waits(one, STEP, NOW + waits)


def test_a_step_that_begins_again_waits_no_more() -> None:
    one = _after(quarantine(), Patch(quarantine(), NOW).failed(STEP, "", ""))
    assert patching.waits(one, STEP, NOW)
    again = _after(one, Patch(one, NOW).began(STEP))
    assert not patching.waits(again, STEP, NOW)
    assert patching.under_way(again, STEP)


def test_a_condition_moves_its_time_only_with_its_status() -> None:
    one = _after(quarantine(), Patch(quarantine(), NOW).condition("Isolated", False, "Isolating"))
    same = _after(one, Patch(one, LATER).condition("Isolated", False, "Partial", "shop/open allows"))
    assert same.status.conditions[0].last_transition_time == NOW
    true = _after(same, Patch(same, LATER).condition("Isolated", True, "Isolated"))
    assert true.status.conditions[0].last_transition_time == LATER


def test_of_very_many_custody_entries_the_first_and_the_last_are_kept() -> None:
    one = quarantine()
    patch = Patch(one, NOW)
    for number in range(300):
        patch.custody("alice", f"entry {number}")
    kept = [entry["what"] for entry in patch.body["custody"]]
    assert len(kept) == patching.CUSTODY_LIMIT
    assert (kept[0], kept[-1]) == ("entry 0", "entry 299")
    assert won(one, patch.body).status.custody[-1].what == "entry 299"


def test_what_blocks_keeps_its_since_and_is_refreshed_seldom() -> None:
    def say(one: Quarantine, message: str, minutes: int) -> Any:
        now = NOW + timedelta(minutes=minutes)
        blocked = Blocked(reason=BlockedReason.PDB, message=message, next=now + timedelta(seconds=10))
        return Patch(one, now).blocked(blocked).body

    one = won(quarantine(), say(quarantine(), "shop/db", 0))
    assert say(one, "shop/db", 1) == {}
    assert say(one, "shop/cart", 1)["blocked"]["since"] == stamp(NOW)
    assert say(one, "shop/db", 6)["blocked"]["since"] == stamp(NOW)
    body = Patch(one, LATER).blocked(None).body
    assert body["blocked"] is None
    assert body["conditions"][0]["status"] == "False"


def test_long_texts_are_cut() -> None:
    body = Patch(quarantine(), NOW).custody("a" * 999, "b" * 9999).failed(STEP, "", "c" * 9999).body
    assert len(body["custody"][0]["what"]) <= 1024
    assert len(body["custody"][0]["by"]) <= 512
    assert len(body["steps"][0]["message"]) <= 4096


def test_a_long_message_of_what_blocks_is_written_once() -> None:
    blocked = Blocked(reason=BlockedReason.PDB, message="x" * 5000)
    after = _after(quarantine(), Patch(quarantine(), NOW).blocked(blocked))
    assert Patch(after, LATER).blocked(blocked).body == {}
