"""One request's money, from its hold to its only end."""

from __future__ import annotations

from typing import Protocol

from yizhan.clock import Clock
from yizhan.errors import MoneyUnavailable
from yizhan.money import ZERO, Money
from yizhan.protocols.usage import Usage
from yizhan.purse.records import Closed, Opened, Progressed, Record

PROGRESS_S = 5.0


class Holder(Protocol):
    """Where the hold was taken."""

    def settle(self, wallet_id: int, *, held: Money, charge: Money) -> None: ...


class Paper(Protocol):
    """Where records go; raises MoneyUnavailable when they cannot be kept."""

    def write(self, record: Record) -> None: ...


class Tally:
    """A hold that resolves exactly once. Whoever has one must ``settle`` it; a void is a settle with charge 0."""

    __slots__ = ("_clock", "_due", "_held", "_journal", "_opened", "_progress_s", "_purse", "began_at", "settled")

    def __init__(self, purse: Holder, journal: Paper, clock: Clock, opened: Opened, *, progress_s: float) -> None:
        self._purse = purse
        self._journal = journal
        self._clock = clock
        self._opened = opened
        self._held = Money(opened.hold)
        self._progress_s = progress_s
        self.began_at = clock.monotonic()
        self._due = self.began_at + progress_s
        self.settled = False

    @classmethod
    def open(
        cls, purse: Holder, journal: Paper, clock: Clock, opened: Opened, *, progress_s: float = PROGRESS_S
    ) -> Tally:
        """Journal that the request begins; the hold must have been taken, and is released when this raises.

        Raises MoneyUnavailable when the journal cannot take it.
        """
        tally = cls(purse, journal, clock, opened, progress_s=progress_s)
        try:
            journal.write(opened)
        except BaseException:
            tally.settled = True
            purse.settle(opened.wallet_id, held=tally._held, charge=ZERO)
            raise
        return tally

    @property
    def due(self) -> bool:
        """Whether ``progress`` would write; ask before adding up what it wants to know."""
        return self._clock.monotonic() >= self._due

    def progress(self, usage: Usage, charge: Money, channel_id: int) -> None:
        """Journal what the request would cost if it ended here, at most every ``progress_s``."""
        assert not self.settled, "a settled request makes no progress"
        now = self._clock.monotonic()
        if now < self._due:
            return
        self._due = now + self._progress_s
        try:
            self._journal.write(
                Progressed(self._opened.request_id, self._clock.now_ms(), usage, int(charge), channel_id)
            )
        except MoneyUnavailable:
            pass  # the journal has said so in the log; the stream's end will be tried all the same

    def settle(self, closed: Closed) -> None:
        """Resolve the hold: journal the end, spend the charge. Once.

        Raises MoneyUnavailable when the end is not in the journal yet: then the caller must not see a normal end.
        """
        assert not self.settled, "a request is settled once"
        assert closed.request_id == self._opened.request_id, "a close belongs to its request"
        self.settled = True
        try:
            self._journal.write(closed)
        finally:
            self._purse.settle(self._opened.wallet_id, held=self._held, charge=Money(closed.charge))
