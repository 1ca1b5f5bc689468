"""Migrations are history: each makes what it made on the day it was written, and together they make today's tables."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, Integer, Table, inspect

from exuvia.record import opening, tables

SCRIPTS = sorted((Path(opening.__file__).parent / "migrations" / "versions").glob("*.py"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = opening.open_for_writing(tmp_path / "ledger.db")
    yield made
    made.dispose()


def test_all_migrations_together_make_the_tables_of_the_code(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, tables.metadata) == []
        keys = {name: inspect(connection).get_pk_constraint(name) for name in tables.metadata.tables}
    for name, table in tables.metadata.tables.items():
        assert keys[name]["constrained_columns"] == [one.name for one in table.primary_key], name


def test_a_table_of_tomorrow_is_not_made_by_a_migration_of_yesterday(tmp_path: Path) -> None:
    later = Table("later", tables.metadata, Column("id", Integer, primary_key=True))
    try:
        engine = opening.open_for_writing(tmp_path / "ledger.db")
        with engine.connect() as connection:
            assert "later" not in inspect(connection).get_table_names()
            (found,) = compare_metadata(MigrationContext.configure(connection), tables.metadata)
            assert (found[0], found[1].name) == ("add_table", "later"), "and the test above says what is missing"
        engine.dispose()
    finally:
        tables.metadata.remove(later)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_migration_looks_at_nothing_that_may_change(script: Path) -> None:
    imported = [node for node in ast.walk(ast.parse(script.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    modules = {str(node.module) for node in imported}
    assert modules and not {one for one in modules if one.startswith("exuvia")}
