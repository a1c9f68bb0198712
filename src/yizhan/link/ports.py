"""What the link's server asks of the books behind it; ``billing/books.py`` answers from the database.

All functions block, and are called on the link's own thread one at a time. What they raise becomes ``Trouble``.
"""

from __future__ import annotations

from typing import Protocol

from yizhan.catalog.snapshot import Snapshot
from yizhan.link.messages import Delta
from yizhan.purse.ports import KeyRecord


class Granted(Protocol):
    """An answer about money: the total granted so far; ``short`` > 0 says what is missing, and nothing was added."""

    @property
    def granted_total(self) -> int: ...
    @property
    def short(self) -> int: ...


class Books(Protocol):
    """Keys, money, journals and the catalog."""

    def pepper(self) -> bytes: ...

    def open_journal(self, *, journal: str, gateway: str) -> None:
        """Begin to lend to this journal; again changes nothing. Raises when it has ended."""

    def open_key(self, *, key_hash: bytes) -> KeyRecord | None: ...

    def lend(self, *, journal: str, wallet_id: int, need: int, burn: int, granted: int, returned: int) -> Granted: ...

    def take_back(self, *, journal: str, wallet_id: int, returned: int) -> None:
        """Note the total given back; older totals change nothing."""

    def holders(self, *, wallet_id: int) -> list[str]:
        """List the journals that may still hold money of the wallet."""

    def leave_unresolved(self, *, journal: str) -> None:
        """Note that a journal's writer has been away for long: its money stays lent, but nobody waits for it."""

    def take_in(self, *, journal: str, offset: int, data: bytes | memoryview) -> int:
        """Book records; returns the position before which everything is booked, also where some are missing."""

    def end_journal(self, *, journal: str, offset: int) -> None: ...

    def snapshot(self) -> Snapshot: ...

    def changes_since(self, seq: int) -> Delta | None:
        """Tell what moved since ``seq``; None where only a snapshot can help, or ``seq`` was never given out."""
