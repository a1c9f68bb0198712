from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from tests.store_servers import PostgresServer

from yizhan.errors import DatabaseBusy, DatabaseGone
from yizhan.store import changes
from yizhan.store.engine import Database
from yizhan.store.tables import counters, groups, sessions
from yizhan.store.turns import WriteQueue


def test_a_write_that_raises_changes_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as c:
            c.execute(insert(groups).values(name="lost"))
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fail()
    with database.read() as c:
        assert c.execute(select(groups.c.name)).scalars().all() == ["default"]


def test_a_reader_sees_one_moment_while_others_write(database: Database) -> None:
    with database.read() as reader:
        before = reader.execute(select(counters.c.value)).scalar_one()
        with database.write() as c:
            c.execute(update(counters).values(value=before + 1))
        assert reader.execute(select(counters.c.value)).scalar_one() == before
    with database.read() as reader:
        assert reader.execute(select(counters.c.value)).scalar_one() == before + 1


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises((DBAPIError, DatabaseGone)), database.read() as c:
        c.execute(insert(groups).values(name="x"))
    with database.write() as c:
        c.execute(insert(groups).values(name="y"))
    with database.read() as c:
        assert sorted(c.execute(select(groups.c.name)).scalars()) == ["default", "y"]


def test_a_broken_constraint_stays_what_it_is(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as c:
        c.execute(insert(groups).values(name="default"))


def test_references_between_tables_are_enforced(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as c:
        c.execute(insert(sessions).values(token_hash=b"x" * 32, user_id=5, created_ms=1, expires_ms=2))


def test_who_listens_is_called_after_the_commit_of_a_change_and_only_then(database: Database) -> None:
    seen: list[int] = []

    def look() -> None:
        with database.read() as c:
            seen.append(changes.last_seq(c))

    def fail() -> None:
        with database.write() as c:
            changes.announce(c, kind="wallet", key="1", now_ms=1)
            raise RuntimeError

    database.on_changes(look)
    with pytest.raises(RuntimeError):
        fail()
    with database.write() as c:
        c.execute(insert(groups).values(name="quiet"))
    assert seen == []
    with database.write() as c:
        changes.announce(c, kind="wallet", key="1", now_ms=1)
    assert seen == [1]


def test_threads_writing_at_once_all_get_their_turn(database: Database) -> None:
    def count() -> None:
        for _ in range(10):
            with database.write() as c:
                value = c.execute(select(counters.c.value).with_for_update()).scalar_one()
                c.execute(update(counters).values(value=value + 1))

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with database.read() as c:
        assert c.execute(select(counters.c.value)).scalar_one() == 60


def test_commits_of_sqlite_are_on_the_disk_when_they_return(migrated_file: Path) -> None:
    database = Database(f"sqlite:///{migrated_file}")
    with database.write() as c:
        assert c.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert c.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert c.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    database.close()


def test_a_write_that_need_not_last_does_not_wait_and_the_next_one_does(migrated_file: Path) -> None:
    database = Database(f"sqlite:///{migrated_file}")
    for durable, level in ((False, 1), (True, 2), (True, 2), (False, 1)):
        with database.write(durable=durable) as c:
            assert c.execute(text("PRAGMA synchronous")).scalar_one() == level
    database.close()


def test_a_database_another_process_keeps_locked_is_busy(migrated_file: Path) -> None:
    url = f"sqlite:///{migrated_file}?timeout=0.05"
    other, database = Database(url), Database(url)
    with other.write() as holding:
        holding.execute(text("SELECT 1"))
        with pytest.raises(DatabaseBusy), database.write() as c:
            c.execute(text("SELECT 1"))
    with database.write() as c:
        c.execute(update(counters).values(value=0))
    other.close()
    database.close()


def test_a_row_another_connection_keeps_locked_is_busy(postgres: PostgresServer) -> None:
    url = postgres.fresh()
    database = Database(url)

    def take_soon() -> None:
        with database.write() as c:
            c.execute(text("SET LOCAL lock_timeout = '50ms'"))
            c.execute(select(counters).with_for_update())

    with database.write() as holding:
        holding.execute(select(counters).with_for_update())
        with pytest.raises(DatabaseBusy):
            take_soon()
    take_soon()
    database.close()


def test_a_database_that_cannot_be_reached_is_gone(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/none/x.db", f"postgresql://x@/x?host={tmp_path}"):
        database = Database(url)
        with pytest.raises(DatabaseGone) as caught, database.read() as c:
            c.execute(text("SELECT 1"))
        assert str(tmp_path) not in str(caught.value)
        database.close()


def test_a_connection_that_broke_is_replaced(postgres: PostgresServer) -> None:
    database = Database(postgres.fresh())
    with database.read() as c:
        pid = c.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with postgres.connect() as operator:
        operator.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with database.write() as c:
        assert c.execute(text("SELECT pg_backend_pid()")).scalar_one() != pid
    database.close()


def _wait_in_line(queue: WriteQueue, name: str, *, urgent: bool, turns: list[str]) -> threading.Thread:
    def take() -> None:
        with queue.turn(urgent=urgent):
            turns.append(name)

    before = queue.waiting
    thread = threading.Thread(target=take)
    thread.start()
    while queue.waiting == before:
        thread.join(0.001)
    return thread


def test_urgent_writers_go_first_and_each_line_keeps_its_order() -> None:
    queue = WriteQueue()
    turns: list[str] = []
    with queue.turn(urgent=False):
        threads = [
            _wait_in_line(queue, name, urgent=name.startswith("urgent"), turns=turns)
            for name in ("report", "export", "urgent lease", "urgent intake")
        ]
    for thread in threads:
        thread.join(10)
    assert turns == ["urgent lease", "urgent intake", "report", "export"]
    assert queue.waiting == 0


def test_a_database_beside_another_waits_in_the_same_line(migrated_file: Path) -> None:
    public = Database(f"sqlite:///{migrated_file}?timeout=0")  # outside the line it would be busy at once
    lending = public.beside()
    done: list[str] = []

    def lend() -> None:
        with lending.write(urgent=True) as c:
            c.execute(update(counters).values(value=counters.c.value + 1))
            done.append("lent")

    thread = threading.Thread(target=lend)
    with public.write() as c:
        c.execute(update(counters).values(value=5))
        thread.start()
        line = lending._queue
        assert line is not None
        while not line.waiting:
            thread.join(0.001)
        assert done == []
    thread.join(10)
    assert done == ["lent"]
    with lending.read() as c:
        assert c.execute(select(counters.c.value)).scalar_one() == 6
    lending.close()
    public.close()


def test_who_waits_too_long_is_told_and_leaves_the_line() -> None:
    queue = WriteQueue()

    def impatient() -> None:
        with queue.turn(urgent=False, wait_s=0.01):
            raise AssertionError("it was not free")

    with queue.turn(urgent=True), pytest.raises(DatabaseBusy):
        impatient()
    assert queue.waiting == 0
    with queue.turn(urgent=False, wait_s=0.01):
        assert queue.waiting == 0
