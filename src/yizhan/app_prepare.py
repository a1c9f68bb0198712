"""What comes before a station is served: the database brought up to date, the first owner, the demo's channel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from yizhan.accounts.bootstrap import bootstrap, register_demo, retire_demo
from yizhan.clock import Clock, SystemClock
from yizhan.config import Settings
from yizhan.process import Prepared
from yizhan.store.engine import Database, migrate, schema_state
from yizhan.store.seal import Seal

DEMO_MODEL = "smollm2-135m"


class Refusal(Exception):
    """The station cannot start on this database; ``str(error)`` is one readable line."""


def prepare(settings: Settings, *, demo_url: str = "", clock: Clock | None = None) -> Prepared:
    """Migrate and bootstrap, before anything is served. Never raises: what is wrong stands in ``error``."""
    clock = clock or SystemClock()
    try:
        with opened(settings) as (database, seal):
            first = bootstrap(database, seal, settings, clock)
            with database.write() as connection:
                if demo_url:
                    base = demo_url.rstrip("/") + "/v1"
                    register_demo(connection, base_url=base, model=DEMO_MODEL, seal=seal, now_ms=clock.now_ms())
                else:
                    retire_demo(connection, now_ms=clock.now_ms())
    except Exception as error:  # the edge: the supervisor prints one line
        return Prepared(error=next(iter(str(error).splitlines()), "") or type(error).__name__)
    if first is None:
        return Prepared()
    return Prepared(login=first.login, password=first.password, key=first.key)


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Database, Seal]]:
    """Open the database, migrated, and the seal. Raises Refusal for a schema that is newer than this code."""
    try:
        state = schema_state(settings.database)
        if state == "newer":
            raise Refusal("the database was migrated by a newer version of the station; install that version")
        if state != "current":
            settings.home_path.mkdir(mode=0o700, parents=True, exist_ok=True)
            migrate(settings.database)
    except SQLAlchemyError as error:
        raise Refusal(f"the database cannot be used: {str(error).splitlines()[0]}") from None
    database = Database(settings.database)
    try:
        yield database, Seal.open(settings.home_path, settings.seal_key)
    finally:
        database.close()
