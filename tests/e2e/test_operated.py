"""What is judged by the audit log is judged by all of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.e2e.operated import Operated, audit_lines


def written(path: Path, *numbers: int) -> None:
    with path.open("ab") as file:
        file.writelines(json.dumps({"number": one}).encode() + b"\n" for one in numbers)


def test_a_log_that_was_begun_anew_hides_nothing(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    plane: Any = SimpleNamespace(audit_log=log)
    world = Operated(cluster=SimpleNamespace(plane=plane), folder=tmp_path)  # type: ignore[arg-type]
    written(log, 1, 2)
    since = world.audit_position()
    written(log, 3)
    log.rename(tmp_path / "audit-2026-11-25T12-00-00.000.log")
    written(log, 4)
    assert [one["number"] for one in audit_lines(plane)] == [1, 2, 3, 4]
    assert [one["number"] for one in audit_lines(plane, since)] == [3, 4]
    assert audit_lines(plane, world.audit_position()) == []
