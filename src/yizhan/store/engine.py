"""The one door to the database: short read transactions, and writes that queue with the urgent ones first.

Locks are always taken in one order, so that PostgreSQL never finds a deadlock: journal, wallets by rising id (a lease
belongs to its wallet's lock), and the counter of changes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from yizhan.store import postgres, sqlite
from yizhan.store.address import address, translated
from yizhan.store.schema import migrate, schema_state
from yizhan.store.turns import WriteQueue

__all__ = ["ANNOUNCED", "Database", "migrate", "schema_state"]

ANNOUNCED = "yizhan_announced"  # set in Connection.info by store/changes.py


class Database:
    """Connections to one database. Safe to share between threads; not between processes."""

    def __init__(self, url: str) -> None:
        self._url = url
        parsed = address(url)
        self.dialect = parsed.get_backend_name()
        self._queue: WriteQueue | None
        if self.dialect == "sqlite":
            self._writer, self._reader, self._queue = sqlite.writer(parsed), sqlite.reader(parsed), WriteQueue()
        else:
            self._writer, self._queue = postgres.writer(parsed), None
            self._reader = postgres.reader(self._writer)
        self._on_changes: list[Callable[[], None]] = []

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read from one state of the database. Raises DatabaseBusy or DatabaseGone."""
        with translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, urgent: bool = False, durable: bool = True) -> Iterator[Connection]:
        """Commit what the block did, or nothing when it raises. ``urgent`` goes before others that wait.

        Not ``durable``: SQLite need not wait for the disk, and a power cut may take the commit back, never what was
        committed durably after it. Only for what means nothing after a power cut: leases, whose borrowers on this
        machine are gone with it, while intake books all the same. PostgreSQL, which has borrowers elsewhere, waits.

        Raises DatabaseBusy (nothing was changed) or DatabaseGone.
        """
        announced = False
        with translated(), _turn(self._queue, urgent=urgent), self._writer.connect() as connection:
            connection.execution_options(**{sqlite.RELAXED: not durable})
            connection.info.pop(ANNOUNCED, None)  # info outlives a transaction that was rolled back
            with connection.begin():
                yield connection
            announced = bool(connection.info.pop(ANNOUNCED, None))
        if announced:
            for callback in self._on_changes:
                callback()

    def on_changes(self, callback: Callable[[], None]) -> None:
        """Call this after each commit that announced a change, in the writer's thread; it must be quick.

        Other processes write too, so this only makes a poll of the outbox sooner.
        """
        self._on_changes.append(callback)

    def beside(self) -> Database:
        """Open connections of its own that share this one's line of writers: without that, nobody could go first."""
        other = Database(self._url)
        other._queue = self._queue
        return other

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        self._writer.dispose()


@contextmanager
def _turn(queue: WriteQueue | None, *, urgent: bool) -> Iterator[None]:
    if queue is None:
        yield
    else:
        with queue.turn(urgent=urgent):
            yield
