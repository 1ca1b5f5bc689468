"""When the past is reckoned again: each hour, and soon after something came of which the last answer tells nothing."""

from __future__ import annotations

from itertools import pairwise

from exuvia.app.pacing import PERIOD_SECONDS, SOON_SECONDS, Pace


def test_it_is_due_at_once_and_then_each_hour() -> None:
    pace = Pace()
    assert pace.due(7, missed=False)
    pace.done(7, found=True)
    assert not pace.due(6 + PERIOD_SECONDS, missed=False)
    assert pace.due(7 + PERIOD_SECONDS, missed=False)


def test_what_came_since_is_waited_for_together_and_what_went_again_is_not() -> None:
    pace = Pace()
    pace.done(0, found=False)
    assert not pace.due(100, missed=True)
    assert not pace.due(99 + SOON_SECONDS, missed=True)
    assert pace.due(100 + SOON_SECONDS, missed=True)
    pace.done(100 + SOON_SECONDS, found=True)
    assert not pace.due(200 + SOON_SECONDS, missed=False)


def test_what_is_told_of_in_vain_is_tried_less_and_less_until_it_is_found() -> None:
    pace, tried = Pace(), list[int]()
    pace.done(0, found=False)
    for now in range(1, int(PERIOD_SECONDS)):
        if pace.due(now, missed=True):
            tried.append(now)
            pace.done(now, found=False)
    waits = [later - former for former, later in pairwise(tried)]
    assert tried[0] == 1 + SOON_SECONDS
    assert waits == [2**power * SOON_SECONDS + 1 for power in range(1, len(waits) + 1)]
    pace.done(PERIOD_SECONDS, found=True)
    assert not pace.due(PERIOD_SECONDS + 1, missed=True)
    assert pace.due(PERIOD_SECONDS + 1 + SOON_SECONDS, missed=True)
