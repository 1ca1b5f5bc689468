"""Calling `exuvia` as a person does, and what came of it."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from exuvia.cli.main import exuvia


def call(*arguments: object, code: int = 0, stdin: str = "", env: dict[str, str] | None = None) -> Result:
    """Run a command line and demand its exit code. Errors never come as a traceback."""
    clean = {"EXUVIA_LEDGER": None, "EXUVIA_EVIDENCE_DIR": None, "NO_COLOR": "1"}
    result = CliRunner(env={**clean, **(env or {})}).invoke(exuvia, [str(one) for one in arguments], input=stdin)
    assert result.exit_code == code, f"{result.exit_code}: {result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result


def answer(*arguments: object, code: int = 0, env: dict[str, str] | None = None) -> Any:
    """What it says as JSON."""
    return json.loads(call(*arguments, "-o", "json", code=code, env=env).stdout)
