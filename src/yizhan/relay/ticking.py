"""Time passes for every exchange at once: one timer a process, not one a request."""

from __future__ import annotations

import asyncio
import logging

from yizhan.relay.ports import Ports

TICK_S = 0.5  # drains, heartbeats and running bills are looked at so often

log = logging.getLogger(__name__)


async def tick_for_ever(ports: Ports, *, every_s: float = TICK_S) -> None:
    """Tell every exchange under way what time it is, until cancelled. One that fails is logged; the others go on."""
    while True:
        await asyncio.sleep(every_s)
        now = ports.clock.monotonic()
        for exchange in list(ports.exchanges):
            try:
                exchange.tick(now)
            except Exception:
                log.exception("an exchange could not be looked after")
