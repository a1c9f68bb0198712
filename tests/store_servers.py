"""Databases for tests: an SQLite file, and a PostgreSQL server of our own on a socket in a temporary folder."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from yizhan.store.engine import Database, migrate

DIALECTS = ("sqlite", "postgresql")
_numbers = itertools.count()


class PostgresServer:
    """A running server; databases in it are copies of one that was migrated once."""

    def __init__(self, folder: Path, user: str) -> None:
        self._folder = folder
        self._user = user
        self._migrated = ""

    def fresh(self) -> str:
        """Make an empty, migrated database; gives its URL."""
        if not self._migrated:
            self._migrated = "migrated"
            migrate(self.empty(self._migrated))
        return self.empty(f"test{next(_numbers)}", like=self._migrated)

    def empty(self, name: str, like: str = "template0") -> str:
        """Make a database; gives its URL."""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
        return f"postgresql://{self._user}@/{name}?host={self._folder}"

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """Connect as an operator would, beside the station."""
        return psycopg.connect(host=str(self._folder), user=self._user, dbname="postgres", autocommit=True)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "-qq", "postgresql"], check=True, stdout=subprocess.DEVNULL)
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server for the session."""
    binaries = _binaries()
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="yizhan-pg-"))
    shutil.chown(folder, user)
    data = folder / "data"
    as_user = {"user": user} if os.geteuid() == 0 else {}
    subprocess.run(
        [binaries / "initdb", "-D", data, "-A", "trust", "-U", user, "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        **as_user,  # type: ignore[call-overload]
    )
    options = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "max_connections": "60"}
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [binaries / "postgres", "-D", data, *flags],
        cwd=folder,
        stdout=log,
        stderr=log,
        **as_user,  # type: ignore[call-overload]
    )
    try:
        subprocess.run(
            ["timeout", "30", "sh", "-c", f"until {binaries}/pg_isready -q -h {folder}; do :; done"], check=True
        )
        yield PostgresServer(folder, user)
    finally:
        process.send_signal(signal.SIGINT)  # fast shutdown
        process.wait(30)
        log.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate an SQLite file once; tests copy it."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, migrated database of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "yizhan.db")
        return f"sqlite:///{tmp_path}/yizhan.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """An open, empty database of each kind."""
    opened = Database(url)
    yield opened
    opened.close()
