"""What the purse asks of whoever speaks with the control plane; ``link/client.py`` does."""

from __future__ import annotations

from typing import Protocol

import msgspec


class KeyRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a gateway must know of a key. The key itself is known only by its keyed hash."""

    key_hash: bytes
    key_id: int
    user_id: int
    wallet_id: int
    group: str = "default"
    status: str = "enabled"  # enabled · disabled · exhausted
    expires_at_ms: int | None = None
    models: tuple[str, ...] | None = None  # None: all the group is served


class Loan(Protocol):
    """An answer about money. ``granted`` is the total since the journal began."""

    @property
    def wallet_id(self) -> int: ...
    @property
    def granted(self) -> int: ...
    @property
    def short(self) -> int: ...
    @property
    def unsure(self) -> bool: ...


class Answer(Protocol):
    """An answer about a key; ``record`` is None where there is no such key."""

    @property
    def record(self) -> KeyRecord | None: ...


class Lender(Protocol):
    """Where money comes from. Every grant has gone through ``Purse.lent`` before ``borrow`` returns."""

    @property
    def connected(self) -> bool: ...

    async def borrow(self, *, wallet_id: int, need: int, burn: int, granted: int, returned: int) -> Loan:
        """Ask for ``need`` more; raises MoneyUnavailable."""

    def give_back(self, *, wallet_id: int, returned: int) -> None:
        """Tell the total given back; may be lost with the connection."""


class KeyOffice(Protocol):
    """Where keys are looked up."""

    @property
    def pepper(self) -> bytes | None: ...

    async def open_key(self, key_hash: bytes, need: int) -> Answer:
        """Ask for a key's record; raises MoneyUnavailable."""


class Intake(Protocol):
    """Where journals go. Both answer with the position before which everything is booked; raise MoneyUnavailable."""

    async def send_records(self, *, journal: str, offset: int, data: bytes) -> int: ...
    async def end_journal(self, *, journal: str, offset: int) -> int: ...
