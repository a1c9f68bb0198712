from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from yizhan.errors import DatabaseBusy
from yizhan.store.address import address, translated


def test_a_pool_without_a_free_connection_is_busy() -> None:
    with pytest.raises(DatabaseBusy), translated():
        raise PoolTimeout("QueuePool limit")


def test_a_deadlock_is_busy_and_worth_trying_again() -> None:
    with pytest.raises(DatabaseBusy) as caught, translated():
        raise OperationalError("UPDATE", None, psycopg.errors.DeadlockDetected("deadlock detected"))
    assert caught.value.retry


@pytest.mark.parametrize(
    ("url", "driver"), [("sqlite:////x.db", "sqlite+pysqlite"), ("postgresql://h/d", "postgresql+psycopg")]
)
def test_a_url_names_its_driver(url: str, driver: str) -> None:
    assert address(url).drivername == driver
