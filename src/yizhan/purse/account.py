"""What one gateway holds of one wallet: four totals and a few memories. Plain whole nano-USD inside."""

from __future__ import annotations

import asyncio
from collections import deque

Waiter = tuple[int, "asyncio.Future[None]"]

BURN_WINDOW_S = 60  # a lease is sized by the last minute's spending


class Account:
    """A wallet's lease. ``granted`` and ``returned`` are totals since the journal began, as the control plane counts.

    Always: granted - returned == free + held + spent. ``free`` is below zero only after a settle over its hold.
    """

    __slots__ = (
        "_burn_since",
        "_burnt",
        "borrowing",
        "dry_until",
        "elsewhere",
        "free",
        "granted",
        "held",
        "quiet",
        "returned",
        "waiters",
        "wallet_id",
    )

    def __init__(self, wallet_id: int) -> None:
        self.wallet_id = wallet_id
        self.granted = 0
        self.returned = 0
        self.held = 0
        self.free = 0
        self.waiters: deque[Waiter] = deque()  # first come, first served
        self.borrowing = False
        self.dry_until = 0.0  # until then at most `elsewhere` more could be borrowed
        self.elsewhere = 0
        self.quiet = 0  # sweeps since the last hold
        self._burnt = 0
        self._burn_since = 0.0

    @property
    def spent(self) -> int:
        """All that was charged since the journal began."""
        return self.granted - self.returned - self.held - self.free

    def hold(self, amount: int) -> None:
        """Set money aside."""
        self.free -= amount
        self.held += amount
        self.quiet = 0

    def settle(self, held: int, charge: int) -> None:
        """Spend the charge and free the rest of what was held."""
        assert 0 <= held <= self.held, "a hold is settled once"
        self.held -= held
        self.free += held - charge
        self._burnt += charge

    def give_back(self) -> bool:
        """Return all that is free; says whether there was any."""
        if self.free <= 0:
            return False
        self.returned += self.free
        self.free = 0
        return True

    def burn(self, now: float) -> int:
        """Estimate the last minute's spending; cheap, since a settle only adds to one number."""
        elapsed = now - self._burn_since
        if elapsed > BURN_WINDOW_S:
            self._burnt = int(self._burnt * BURN_WINDOW_S / elapsed) if self._burn_since else self._burnt
            self._burn_since = now
        return self._burnt
