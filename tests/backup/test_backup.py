from __future__ import annotations

import contextlib
import io
import sqlite3
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from yizhan.backup import backup, restore
from yizhan.config import Settings
from yizhan.home import PLANES, Refused, locked, open_home

KEPT = 1000  # segments, of a record each


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path / "home"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path / "elsewhere"))


def connect(settings: Settings) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(settings.home_path / "yizhan.db", timeout=30, isolation_level=None))


@pytest.fixture(autouse=True)
def filled(settings: Settings) -> None:
    """A station's folder: a ledger that sums to zero, one journal segment, two secrets."""
    home = open_home(settings)
    with connect(settings) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE ledger (booked INTEGER, amount INTEGER)")
        connection.execute("CREATE TABLE padding (content BLOB)")
        connection.executemany("INSERT INTO padding VALUES (zeroblob(4096))", [()] * 2000)
    (home / "journal" / "gw-boot.000000").write_bytes(b"0" * 10)
    (home / "secrets" / "seal.key").write_bytes(b"seal")
    (home / "secrets" / "pepper.key").write_bytes(b"pepper")


class Station(threading.Thread):
    """Journals a record, books it in two entries that sum to zero, drops the segments it has booked; and again."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._stop_asked = threading.Event()
        self.begun = threading.Event()

    def run(self) -> None:
        journal = self._settings.home_path / "journal"
        (journal / "gw-boot.000000").unlink()
        record = 0
        with connect(self._settings) as connection:
            while not self._stop_asked.is_set():
                record += 1
                segment = journal / f"gw-boot.{record:06d}"
                segment.write_text(str(record))
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO ledger VALUES (?, 5)", (record,))
                connection.execute("INSERT INTO ledger VALUES (?, -5)", (record,))
                connection.execute("COMMIT")
                if record > KEPT:
                    (journal / f"gw-boot.{record - KEPT:06d}").unlink()
                    self.begun.set()

    def __enter__(self) -> Station:
        self.start()
        assert self.begun.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asked.set()
        self.join()


def journalled(settings: Settings) -> Iterator[int]:
    for segment in (settings.home_path / "journal").iterdir():
        yield int(segment.read_text() or 0)


def test_a_backup_under_writes_is_consistent_and_lacks_no_record(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    with Station(settings):
        for turn in range(5):
            done = backup(settings, tmp_path / f"{turn}.backup")
            restore(elsewhere, tmp_path / f"{turn}.backup", force=True)
            with connect(elsewhere) as connection:
                total, booked = connection.execute("SELECT sum(amount), max(booked) FROM ledger").fetchone()
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            records = sorted(journalled(elsewhere))
            assert total == 0
            assert done.journals == len(records)
            after = [record for record in records if record > booked]  # what the copy lacks is in these
            assert after == list(range(booked + 1, records[-1] + 1))
            assert records[-1] >= booked


def test_the_archive_is_for_its_owner_alone_and_holds_the_secrets(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "station.backup"
    done = backup(settings, file)
    restored = restore(elsewhere, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (done.database, done.journals, done.secrets) == (True, 1, 2)
    assert restored == done
    assert (elsewhere.home_path / "secrets" / "seal.key").read_bytes() == b"seal"
    assert stat.S_IMODE((elsewhere.home_path / "secrets" / "seal.key").stat().st_mode) == 0o600
    assert (elsewhere.home_path / "journal" / "gw-boot.000000").read_bytes() == b"0" * 10


def test_restore_is_refused_while_a_station_runs(settings: Settings, tmp_path: Path) -> None:
    backup(settings, tmp_path / "b")
    with locked(settings.home_path, PLANES), pytest.raises(Refused, match="in use"):
        restore(settings, tmp_path / "b", force=True)


def test_restore_replaces_data_only_when_forced(settings: Settings, tmp_path: Path) -> None:
    backup(settings, tmp_path / "b")
    (settings.home_path / "journal" / "gw-later.000000").write_bytes(b"later")
    with pytest.raises(Refused, match="--force"):
        restore(settings, tmp_path / "b")
    restore(settings, tmp_path / "b", force=True)
    assert [path.name for path in (settings.home_path / "journal").iterdir()] == ["gw-boot.000000"]


def test_a_database_on_a_server_is_left_to_pg_dump(settings: Settings, tmp_path: Path) -> None:
    server = msgspec.structs.replace(settings, database_url="postgresql+psycopg://u:p@localhost/yizhan")
    done = backup(server, tmp_path / "b")
    assert (done.database, done.journals, done.secrets) == (False, 1, 2)
    assert "pg_dump" in done.note
    with pytest.raises(Refused, match="holds no database"):
        restore(settings, tmp_path / "b", force=True)
    assert "pg_restore" in restore(server, tmp_path / "b", force=True).note


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "journal/../../escape", "other"])
def test_an_archive_with_foreign_members_is_refused(settings: Settings, tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "b", "w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(Refused, match="no backup of a station"):
        restore(settings, tmp_path / "b", force=True)
    assert not (tmp_path / "escape").exists()
    assert (settings.home_path / "secrets" / "seal.key").exists()


def test_a_file_that_is_no_archive_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"not an archive")
    with pytest.raises(Refused, match="cannot be read as a backup"):
        restore(settings, tmp_path / "b", force=True)


def test_a_backup_cut_short_is_refused_and_leaves_the_data_alone(settings: Settings, tmp_path: Path) -> None:
    backup(settings, tmp_path / "b")
    whole = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refused, match="cannot be read as a backup"):
        restore(settings, tmp_path / "b", force=True)
    with connect(settings) as connection:
        assert connection.execute("SELECT count(*) FROM padding").fetchone() == (2000,)


def test_nothing_to_back_up_is_said_in_one_line(elsewhere: Settings, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no database"):
        backup(elsewhere, tmp_path / "b")
    assert not (tmp_path / "b").exists()
