"""One coarse timer for every exchange of a client, so that no piece of any answer needs one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Watched(Protocol):
    """What has deadlines."""

    def check(self, now: float) -> None:
        """End it if a deadline has passed."""


class Sweeper:
    """Looks at all that is running every ``tick_s``, and rests when nothing is."""

    __slots__ = ("_expire_idle", "_handle", "_loop", "_tick_s", "_watched")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, tick_s: float, expire_idle: Callable[[float], bool]) -> None:
        """``expire_idle`` drops what was kept too long and says whether it still keeps something."""
        self._loop = loop
        self._tick_s = tick_s
        self._expire_idle = expire_idle
        self._watched: set[Watched] = set()
        self._handle: asyncio.TimerHandle | None = None

    def watch(self, exchange: Watched) -> None:
        self._watched.add(exchange)
        if self._handle is None:
            self._handle = self._loop.call_later(self._tick_s, self._sweep)

    def forget(self, exchange: Watched) -> None:
        self._watched.discard(exchange)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _sweep(self) -> None:
        now = self._loop.time()
        for exchange in list(self._watched):
            exchange.check(now)
        keeps = self._expire_idle(now)
        self._handle = self._loop.call_later(self._tick_s, self._sweep) if self._watched or keeps else None
