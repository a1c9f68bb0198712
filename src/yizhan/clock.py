"""The one door through which time comes in."""

from __future__ import annotations

import time
from typing import Protocol

Millis = int  # milliseconds since the epoch, UTC


class Clock(Protocol):
    """What the rest of the station may know about time."""

    def now_ms(self) -> Millis:
        """Wall clock, for what people read and what is stored."""

    def monotonic(self) -> float:
        """Seconds that never step back, for deadlines and durations."""


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    def now_ms(self) -> Millis:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class SetClock:
    """A clock that moves only when told to; for tests and simulations."""

    def __init__(self, now_ms: Millis = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic = 1000.0

    def now_ms(self) -> Millis:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._now_ms += round(seconds * 1000)
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forwards or back, as an operator or NTP would."""
        self._now_ms += round(seconds * 1000)
