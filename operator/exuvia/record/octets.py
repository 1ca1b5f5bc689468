"""The bytes of a text as stored, on both databases: a cast would read a backslash of PostgreSQL's as an escape."""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class octets(FunctionElement[bytes]):
    """`octets(column)`: UTF-8, also of what another hand stored that is none."""

    inherit_cache = True
    type = LargeBinary()
    name = "octets"


@compiles(octets)
def _cast(element: Any, compiler: Any, **more: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **more)} AS BLOB)"


@compiles(octets, "postgresql")
def _converted(element: Any, compiler: Any, **more: Any) -> str:
    return f"convert_to({compiler.process(element.clauses, **more)}, 'UTF8')"
