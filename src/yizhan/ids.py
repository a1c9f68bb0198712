"""Ids of our own: a prefix, then 32 hex digits that sort by time (48-bit milliseconds, 80 random bits)."""

from __future__ import annotations

import os
from collections.abc import Callable

from yizhan.clock import Clock

_RANDOM_BYTES = 10
_BLOCK = 256  # ids drawn at once, so that an id costs no system call


class Ids:
    """Makes time-ordered ids."""

    __slots__ = ("_clock", "_left", "_pool", "_random")

    def __init__(self, clock: Clock, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random
        self._pool = ""
        self._left = 0

    def new(self, prefix: str) -> str:
        """Make an id such as ``req_019d…``; ids of one millisecond sort in no particular order."""
        left = self._left
        if left == 0:
            self._pool = self._random(_RANDOM_BYTES * _BLOCK).hex()
            left = len(self._pool)
        self._left = start = left - 2 * _RANDOM_BYTES
        return f"{prefix}_{self._clock.now_ms():012x}{self._pool[start:left]}"
