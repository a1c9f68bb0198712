"""Where the database is, and what its drivers' errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Engine, exc, make_url

from yizhan.errors import DatabaseBusy, DatabaseGone
from yizhan.store import postgres, sqlite

_BUSY_STATES = {"55P03", "40P01", "40001"}  # lock not available, deadlock, serialization failure


def address(url: str) -> URL:
    """Read a database URL; ``postgresql://`` means psycopg 3. Raises ValueError for what the station cannot use."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise ValueError("database_url is not a database URL") from None  # its text may hold a password
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError("an SQLite database must be a file: several connections share it")
            return parsed.set(drivername="sqlite+pysqlite")
        case "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise ValueError(f"{other} is not a database the station uses; take sqlite or postgresql")


def connect(url: URL) -> Engine:
    """Make a lone engine that writes, for migrations."""
    return sqlite.writer(url) if url.get_backend_name() == "sqlite" else postgres.writer(url)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the drivers raise into our nouns; a broken constraint stays what it is."""
    try:
        yield
    except exc.TimeoutError as error:
        raise DatabaseBusy("the database is busy; try again") from error
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError) as error:
        raise _noun(error) from error


def _noun(error: exc.DBAPIError) -> DatabaseBusy | DatabaseGone:
    text = str(error.orig)
    if getattr(error.orig, "sqlstate", None) in _BUSY_STATES or "database is locked" in text:
        return DatabaseBusy("the database is busy; try again")
    return DatabaseGone("the database cannot be used now")
