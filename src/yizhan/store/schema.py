"""Which version the tables have, and bringing them to the newest; the steps are in ``migrations/versions``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from yizhan.store import sqlite
from yizhan.store.address import address, connect, translated

State = Literal["current", "older", "newer", "empty"]
_MIGRATION_LOCK = 0x59697A68  # any number that is ours


def migrate(url: str) -> None:
    """Bring the schema up to date, in one transaction. Raises DatabaseGone or DatabaseBusy."""
    engine = connect(address(url))
    try:
        with translated(), engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # two control planes may start at once
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def schema_state(url: str) -> State:
    """Compare the database with this code; ``newer`` means a later version of the station has migrated it."""
    parsed = address(url)
    if parsed.get_backend_name() == "sqlite" and not sqlite.exists(parsed):
        return "empty"
    engine = connect(parsed)
    try:
        with translated(), engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    scripts = ScriptDirectory.from_config(_config())
    if found is None:
        return "empty"
    if found == scripts.get_current_head():
        return "current"
    return "older" if found in {script.revision for script in scripts.walk_revisions()} else "newer"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
