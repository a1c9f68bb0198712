"""What every handler of the back office works with: the books, the seal, the clock, and the bell for gateways."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread
from sqlalchemy import Connection

from yizhan.clock import Clock
from yizhan.config import Settings
from yizhan.store import audit
from yizhan.store.engine import Database
from yizhan.store.seal import Seal
from yizhan.web.access import Person

T = TypeVar("T")
Random = Callable[[int], bytes]


class Office:
    """The one way from a handler to the database: on a thread, and for changes with an audit row in the same commit."""

    __slots__ = ("_database", "_nudge", "clock", "operator_token", "random", "seal", "settings")

    def __init__(
        self,
        database: Database,
        *,
        seal: Seal,
        settings: Settings,
        clock: Clock,
        operator_token: str,
        nudge: Callable[[], None],
        random: Random = os.urandom,
    ) -> None:
        self._database = database
        self._nudge = nudge
        self.seal = seal
        self.settings = settings
        self.clock = clock
        self.operator_token = operator_token
        self.random = random

    async def read(self, look: Callable[[Connection], T]) -> T:
        """Run ``look`` in a short read transaction."""

        def run() -> T:
            with self._database.read() as connection:
                return look(connection)

        return await to_thread.run_sync(run)

    async def change(
        self,
        do: Callable[[Connection], T],
        *,
        by: Person,
        action: str,
        target: str,
        detail: dict[str, object] | None = None,
    ) -> T:
        """Run ``do`` in a write transaction, audited; then wake the gateways. ``detail`` must hold no secret."""
        now_ms = self.clock.now_ms()

        def run() -> T:
            with self._database.write() as connection:
                audit.write_down(
                    connection, at_ms=now_ms, actor=by.name, action=action, target=target[:128], detail=detail
                )
                return do(connection)  # last, since it may take the lock on the counter of changes

        result = await to_thread.run_sync(run)
        self._nudge()
        return result
