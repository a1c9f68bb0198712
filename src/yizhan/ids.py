"""Ids of our own: a prefix, then 26 characters that sort by time (48-bit milliseconds, 80 random bits)."""

from __future__ import annotations

import os
from collections.abc import Callable

from yizhan.clock import Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class Ids:
    """Makes time-ordered ids. Randomness is drawn in blocks, so that an id costs no system call."""

    __slots__ = ("_clock", "_left", "_pool", "_random")

    def __init__(self, clock: Clock, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random
        self._pool = b""
        self._left = 0

    def new(self, prefix: str) -> str:
        """Make an id such as ``req_01j9…``; ids of one millisecond sort in no particular order."""
        if self._left == 0:
            self._pool = self._random(10 * 256)
            self._left = 256
        self._left -= 1
        start = self._left * 10
        number = (self._clock.now_ms() << 80) | int.from_bytes(self._pool[start : start + 10], "big")
        text = "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])
        return f"{prefix}_{text}"
