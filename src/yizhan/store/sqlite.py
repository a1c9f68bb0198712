"""What SQLite needs to be a ledger: WAL, every commit on the disk, and transactions that begin when we say."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

RELAXED = "yizhan_relaxed"  # an execution option: this transaction need not be on the disk when it returns
BUSY_TIMEOUT_S = 5.0  # `?timeout=` in the URL takes its place


def reader(url: URL) -> Engine:
    """Open connections that can only read; each transaction sees one state of the database."""
    engine = create_engine(url, pool_size=4, max_overflow=8, pool_timeout=BUSY_TIMEOUT_S, connect_args=_waiting(url))
    event.listen(engine, "connect", _prepare_reader)
    event.listen(engine, "begin", _begin)
    return engine


def writer(url: URL) -> Engine:
    """Open the one connection that writes. Who shares it waits in the queue of ``engine.py``, not in SQLite's."""
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=BUSY_TIMEOUT_S, connect_args=_waiting(url))
    event.listen(engine, "connect", _prepare_writer)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def exists(url: URL) -> bool:
    """Say whether there is a database file; connecting would make one."""
    return bool(url.database) and Path(str(url.database)).exists()


def _waiting(url: URL) -> dict[str, float]:
    return {} if "timeout" in url.query else {"timeout": BUSY_TIMEOUT_S}


def _prepare_writer(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin by itself: it would do so too late, and not IMMEDIATE
    for pragma in (
        "journal_mode = WAL",
        # With NORMAL a power cut can take back the last commits. The gateway deletes a piece of its journal once it was
        # taken in, and a person was shown their top-up: a commit must be on the disk when it returns.
        "synchronous = FULL",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        "cache_size = -16384",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_reader(connection: sqlite3.Connection, record: Any) -> None:
    _prepare_writer(connection, record)
    connection.execute("PRAGMA query_only = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    wanted = "NORMAL" if connection.get_execution_options().get(RELAXED) else "FULL"
    if connection.info.get("synchronous", "FULL") != wanted:  # it cannot be changed within a transaction
        connection.exec_driver_sql(f"PRAGMA synchronous = {wanted}")
        connection.info["synchronous"] = wanted
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # a read lock that is upgraded later can fail at any statement
