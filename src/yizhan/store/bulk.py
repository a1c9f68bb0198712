"""Writing many rows at once without SQLAlchemy's cost for each: intake has 60 µs for a whole request."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, func, select, text

Rows = list[tuple[object, ...]]


def insert_rows(c: Connection, table: Table, *, columns: Sequence[str], rows: Rows) -> None:
    """Insert rows whose values stand in the order of ``columns``."""
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    run_rows(c, f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)  # noqa: S608 -- names are ours


def run_rows(c: Connection, statement: str, rows: Rows) -> None:
    """Run a statement once for each row of values, which the driver takes as they are; a value stands as ``?``."""
    if rows:
        c.exec_driver_sql(statement if c.dialect.name == "sqlite" else statement.replace("?", "%s"), rows)


def new_ids(c: Connection, table: Table, count: int) -> list[int]:
    """Give numbers for new rows of a table with an ``id``; within a write, nobody else is given them."""
    if c.dialect.name == "sqlite":  # the whole database is ours until the commit
        last = c.execute(select(func.max(table.c.id))).scalar_one() or 0
        return list(range(last + 1, last + 1 + count))
    sequence = text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
    return list(c.execute(sequence, {"name": table.name, "count": count}).scalars())
