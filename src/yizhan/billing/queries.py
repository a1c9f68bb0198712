"""Questions about money and use: wallets, what was booked, what is lent."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, func, select

from yizhan.clock import Millis
from yizhan.protocols.usage import CLASSES, Usage
from yizhan.store.tables import accounts, channels, entries, journals, leases, running, transactions, usage, wallets

LISTED_MAX = 10_000


class Wallet(msgspec.Struct, frozen=True):
    """A wallet as its owner sees it, in nano-USD. ``available`` counts what is lent but idle."""

    id: int
    user_id: int
    balance: int  # posted
    held: int  # by running requests, as far as their journals were taken in
    available: int
    leased: int


class Booked(msgspec.Struct, frozen=True):
    """One request as it was booked."""

    request_id: str
    at_ms: Millis
    wallet_id: int
    user_id: int
    key_id: int
    model: str
    operation: str
    stream: bool
    status: str
    estimated: bool
    usage: Usage
    hold: int
    charge: int
    over_hold: bool
    price_version: int
    multiplier_ppm: int
    transaction_id: int | None
    channel_id: int
    channel: str | None  # None: no channel answered, or it was removed
    attempts: int
    first_byte_ms: int
    duration_ms: int
    http_status: int
    error_code: str
    client_request_id: str


class Posting(msgspec.Struct, frozen=True):
    """One transaction as a wallet sees it."""

    id: int
    at_ms: Millis
    kind: str
    amount: int
    memo: str
    actor: str
    reference: str | None


class Lease(msgspec.Struct, frozen=True):
    """What one journal has of one wallet."""

    journal: str
    gateway: str
    wallet_id: int
    granted: int
    returned: int
    booked: int
    state: str


def wallet(c: Connection, *, wallet_id: int) -> Wallet | None:
    """Look a wallet up."""
    row = c.execute(select(wallets).where(wallets.c.id == wallet_id)).one_or_none()
    return None if row is None else _wallet(c, row)


def wallets_of(c: Connection, *, user_id: int) -> list[Wallet]:
    """List a user's wallets, the first one first."""
    rows = c.execute(select(wallets).where(wallets.c.user_id == user_id).order_by(wallets.c.id)).all()
    return [_wallet(c, row) for row in rows]


def booked(
    c: Connection,
    *,
    limit: int,
    user_id: int | None = None,
    since_ms: Millis | None = None,
    until_ms: Millis | None = None,
    status: str | None = None,
    after: tuple[Millis, str] | None = None,
) -> list[Booked]:
    """List requests, newest first; ``after`` is the (at_ms, request_id) of the last one seen, for the next page."""
    query = _booked().order_by(usage.c.at_ms.desc(), usage.c.request_id.desc()).limit(min(limit, LISTED_MAX))
    if user_id is not None:
        query = query.where(usage.c.user_id == user_id)
    if since_ms is not None:
        query = query.where(usage.c.at_ms >= since_ms)
    if until_ms is not None:
        query = query.where(usage.c.at_ms < until_ms)
    if status is not None:
        query = query.where(usage.c.status == status)
    if after is not None:
        at_ms, request_id = after
        older = (usage.c.at_ms < at_ms) | ((usage.c.at_ms == at_ms) & (usage.c.request_id < request_id))
        query = query.where(usage.c.at_ms <= at_ms, older)  # the first term is the one an index can use
    return [_one_booked(row) for row in c.execute(query)]


def receipt(c: Connection, *, request_id: str) -> Booked | None:
    """Find how one request was booked."""
    row = c.execute(_booked().where(usage.c.request_id == request_id)).one_or_none()
    return None if row is None else _one_booked(row)


def postings(c: Connection, *, wallet_id: int, limit: int, before: int | None = None) -> list[Posting]:
    """List a wallet's transactions, newest first; ``before`` is the last id seen, for the next page."""
    query = (
        select(transactions, entries.c.amount)
        .join_from(entries, transactions, entries.c.transaction_id == transactions.c.id)
        .join(accounts, entries.c.account_id == accounts.c.id)
        .where(accounts.c.wallet_id == wallet_id)
        .order_by(transactions.c.id.desc())
        .limit(min(limit, LISTED_MAX))
    )
    if before is not None:
        query = query.where(transactions.c.id < before)
    return [
        Posting(
            id=row.id,
            at_ms=row.at_ms,
            kind=row.kind,
            amount=row.amount,
            memo=row.memo,
            actor=row.actor,
            reference=row.reference,
        )
        for row in c.execute(query)
    ]


def lent(c: Connection, *, wallet_id: int) -> list[Lease]:
    """List who holds money of a wallet."""
    query = (
        select(leases, journals.c.gateway)
        .join(journals, leases.c.journal == journals.c.name)
        .where(leases.c.wallet_id == wallet_id, leases.c.state != "closed")
        .order_by(leases.c.journal)
    )
    return [
        Lease(
            journal=row.journal,
            gateway=row.gateway,
            wallet_id=row.wallet_id,
            granted=row.granted,
            returned=row.returned,
            booked=row.booked,
            state=row.state,
        )
        for row in c.execute(query)
    ]


def journals_in(c: Connection, *, state: str) -> list[str]:
    """List the journals in this state: open, ended or unresolved."""
    return list(c.execute(select(journals.c.name).where(journals.c.state == state).order_by(journals.c.name)).scalars())


def position_of(c: Connection, *, journal: str) -> int:
    """Tell up to where a journal is booked; 0 for one that is not known."""
    return c.execute(select(journals.c.position).where(journals.c.name == journal)).scalar_one_or_none() or 0


def _wallet(c: Connection, row: Row[Any]) -> Wallet:
    held = int(c.execute(select(func.sum(running.c.hold)).where(running.c.wallet_id == row.id)).scalar_one() or 0)
    return Wallet(
        id=row.id,
        user_id=row.user_id,
        balance=row.balance,
        held=held,
        available=row.balance - held,
        leased=row.leased,
    )


def _booked() -> Select[Any]:
    return select(usage, channels.c.name.label("channel")).outerjoin(channels, usage.c.channel_id == channels.c.id)


def _one_booked(row: Row[Any]) -> Booked:
    named = row._mapping  # noqa: SLF001 -- the documented way to a row by name; underscored only against column names
    counts = Usage(**{name: named[f"{name}_tokens"] for name in CLASSES})
    rest = {field: named[field] for field in Booked.__struct_fields__ if field != "usage"}
    return Booked(usage=counts, **rest)
