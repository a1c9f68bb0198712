"""What gateways may ask of the books, as the link's server calls it: each call one transaction, ahead of others."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from yizhan.billing import intake, leases
from yizhan.billing.leases import OUTSTANDING, Loan
from yizhan.catalog.snapshot import Snapshot
from yizhan.clock import Clock
from yizhan.link.messages import Delta
from yizhan.purse.ports import KeyRecord
from yizhan.store import catalog, tables
from yizhan.store.engine import Database
from yizhan.store.seal import Seal

_keys, _users, _leases = tables.keys.c, tables.users.c, tables.leases.c
_KEY = (  # statements that are asked often are built once: building costs more than asking
    select(
        _keys.id,
        _keys.user_id,
        _keys.wallet_id,
        _keys.price_group,
        _keys.status,
        _keys.expires_ms,
        _keys.models,
        _users.price_group.label("owner_group"),
        _users.status.label("owner_status"),
    )
    .join(tables.users, _keys.user_id == _users.id)
    .where(_keys.key_hash == bindparam("hash"))
)
_HOLDERS = select(_leases.journal).where(
    _leases.wallet_id == bindparam("wallet"), _leases.state == "open", OUTSTANDING > 0
)


class DatabaseBooks:
    """``link.ports.Books`` over a database of its own."""

    def __init__(self, database: Database, seal: Seal, *, clock: Clock, share_ppm: int) -> None:
        self._database = database
        self._seal = seal
        self._clock = clock
        self._share_ppm = share_ppm

    def pepper(self) -> bytes:
        return self._seal.pepper

    def open_journal(self, *, journal: str, gateway: str) -> None:
        with self._database.write(urgent=True) as c:
            leases.open_journal(c, journal=journal, gateway=gateway, now_ms=self._clock.now_ms())

    def open_key(self, *, key_hash: bytes) -> KeyRecord | None:
        """Look a key up; one whose owner is switched off is switched off."""
        with self._database.read() as c:
            row = c.execute(_KEY, {"hash": key_hash}).one_or_none()
        if row is None:
            return None
        return KeyRecord(
            key_hash=key_hash,
            key_id=row.id,
            user_id=row.user_id,
            wallet_id=row.wallet_id,
            group=row.owner_group if row.price_group is None else row.price_group,
            status=row.status if row.owner_status == "enabled" else "disabled",
            expires_at_ms=row.expires_ms,
            models=None if row.models is None else tuple(row.models),
        )

    def lend(self, *, journal: str, wallet_id: int, need: int, burn: int, granted: int, returned: int) -> Loan:
        with self._database.write(urgent=True, durable=False) as c:
            return leases.lend(
                c,
                journal=journal,
                wallet_id=wallet_id,
                need=need,
                burn=burn,
                granted=granted,
                returned=returned,
                share_ppm=self._share_ppm,
                now_ms=self._clock.now_ms(),
            )

    def take_back(self, *, journal: str, wallet_id: int, returned: int) -> None:
        with self._database.write(urgent=True, durable=False) as c:
            leases.take_back(c, journal=journal, wallet_id=wallet_id, returned=returned)

    def holders(self, *, wallet_id: int) -> list[str]:
        """List the journals that may still hold money of the wallet; not those given up as unresolved."""
        with self._database.read() as c:
            return list(c.execute(_HOLDERS, {"wallet": wallet_id}).scalars())

    def leave_unresolved(self, *, journal: str) -> None:
        with self._database.write(urgent=True) as c:
            leases.leave_unresolved(c, journal=journal)

    def take_in(self, *, journal: str, offset: int, data: bytes | memoryview) -> int:
        try:
            with self._database.write(urgent=True) as c:
                return intake.take_in(c, journal=journal, offset=offset, data=bytes(data), now_ms=self._clock.now_ms())
        except intake.JournalGap as gap:
            return gap.position

    def end_journal(self, *, journal: str, offset: int) -> None:
        with self._database.write(urgent=True) as c:
            intake.end_journal(c, journal=journal, offset=offset, now_ms=self._clock.now_ms())

    def snapshot(self) -> Snapshot:
        with self._database.read() as c:
            return catalog.snapshot(c, self._seal.unseal)

    def changes_since(self, seq: int) -> Delta | None:
        with self._database.read() as c:
            return catalog.changes(c, seq, self._seal.unseal)
