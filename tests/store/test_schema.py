from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from yizhan.errors import DatabaseGone
from yizhan.store.address import address
from yizhan.store.engine import Database, migrate, schema_state
from yizhan.store.tables import metadata


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    with database.write() as c:
        context = MigrationContext.configure(c, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_migrated_database_is_current_and_migrating_again_changes_nothing(url: str) -> None:
    migrate(url)
    assert schema_state(url) == "current"


def test_a_version_the_code_does_not_know_is_newer(url: str, database: Database) -> None:
    with database.write() as c:
        c.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert schema_state(url) == "newer"


def test_asking_for_the_state_of_no_database_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert schema_state(f"sqlite:///{path}") == "empty"
    assert not path.exists()


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    assert schema_state(f"sqlite:///{tmp_path}/empty.db") == "empty"


def test_a_folder_that_is_not_there_is_a_noun(tmp_path: Path) -> None:
    with pytest.raises(DatabaseGone):
        migrate(f"sqlite:///{tmp_path}/none/yizhan.db")


@pytest.mark.parametrize("bad", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d"])
def test_a_url_the_station_cannot_use_is_refused_without_showing_it(bad: str) -> None:
    with pytest.raises(ValueError) as caught:
        address(bad)
    assert "secret" not in str(caught.value)
