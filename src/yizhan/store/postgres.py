"""What PostgreSQL needs: writers serialise on row locks, readers see one state, and nobody waits for ever."""

from __future__ import annotations

from sqlalchemy import URL, Engine, create_engine

LOCK_TIMEOUT_MS = 5_000


def writer(url: URL) -> Engine:
    """Open connections that write, READ COMMITTED: after a row lock is won, the newest row is seen."""
    return create_engine(
        url,
        pool_size=8,
        max_overflow=8,
        pool_timeout=LOCK_TIMEOUT_MS / 1000,
        pool_pre_ping=True,  # the server may have restarted since
        connect_args={
            "connect_timeout": 5,
            "options": f"-c lock_timeout={LOCK_TIMEOUT_MS} -c idle_in_transaction_session_timeout=60000",
        },
    )


def reader(writing: Engine) -> Engine:
    """Share the writers' pool for transactions that only read, each from one state of the database."""
    return writing.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
