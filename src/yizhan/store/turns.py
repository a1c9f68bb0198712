"""Whose turn it is to write, where the database itself lets only one write at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from yizhan.errors import DatabaseBusy

WRITE_WAIT_S = 10.0


class WriteQueue:
    """A lock handed over first come, first served, urgent waiters before all others."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._urgent: deque[threading.Event] = deque()
        self._others: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, *, urgent: bool, wait_s: float = WRITE_WAIT_S) -> Iterator[None]:
        """Hold the lock; raises DatabaseBusy when it did not come free in time."""
        self._acquire(self._urgent if urgent else self._others, wait_s)
        try:
            yield
        finally:
            self._release()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._urgent) + len(self._others)

    def _acquire(self, line: deque[threading.Event], wait_s: float) -> None:
        with self._mutex:
            if not self._held:
                self._held = True
                return
            mine = threading.Event()
            line.append(mine)
        if mine.wait(wait_s):
            return
        with self._mutex:
            if mine.is_set():  # it was handed over while we gave up
                return
            line.remove(mine)
        raise DatabaseBusy("the database is busy; try again")

    def _release(self) -> None:
        with self._mutex:
            line = self._urgent or self._others
            if line:
                line.popleft().set()  # stays held: it is the next one's now
            else:
                self._held = False
