from __future__ import annotations

import threading

from yizhan.store import changes
from yizhan.store.engine import Database


def _announce(database: Database, key: str, *, now_ms: int = 1) -> int:
    with database.write() as c:
        return changes.announce(c, kind="model", key=key, now_ms=now_ms)


def test_changes_are_numbered_without_gaps_also_when_one_is_taken_back(database: Database) -> None:
    def take_back() -> None:
        with database.write() as c:
            changes.announce(c, kind="model", key="never", now_ms=1)
            raise RuntimeError

    _announce(database, "a")
    try:
        take_back()
    except RuntimeError:
        _announce(database, "b")
    with database.read() as c:
        assert [(row.seq, row.key) for row in changes.since(c, 0) or []] == [(1, "a"), (2, "b")]
        assert [row.key for row in changes.since(c, 1) or []] == ["b"]
        assert changes.since(c, 2) == []


def test_writers_at_once_make_no_gap(database: Database) -> None:
    threads = [threading.Thread(target=lambda: [_announce(database, "m") for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with database.read() as c:
        assert [row.seq for row in changes.since(c, 0) or []] == list(range(1, 41))


def test_what_was_pruned_or_never_given_out_cannot_be_told(database: Database) -> None:
    for moment in (1, 2, 3):
        _announce(database, "m", now_ms=moment)
    with database.write() as c:
        assert changes.prune(c, before_ms=3) == 2
        assert changes.prune(c, before_ms=100) == 0  # the newest stays, so that its number is not lost
    with database.read() as c:
        assert changes.since(c, 1) is None
        assert [row.seq for row in changes.since(c, 2) or []] == [3]
        assert changes.since(c, 3) == []
        assert changes.since(c, 4) is None
        assert changes.last_seq(c) == 3
