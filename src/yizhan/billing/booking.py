"""Booking requests that ended: usage rows, one transaction a wallet and batch, balances and leases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from msgspec.structs import astuple
from sqlalchemy import Connection, insert, select

from yizhan.billing import leases
from yizhan.billing.ledger import system_account
from yizhan.clock import Millis
from yizhan.money import NANO_PER_USD
from yizhan.protocols.usage import CLASSES
from yizhan.purse.frames import pack
from yizhan.purse.records import Closed, Opened
from yizhan.store.bulk import insert_rows, new_ids, run_rows
from yizhan.store.tables import accounts, entries, transactions, usage
from yizhan.store.tables import strays as strays_table

CHARGE_MAX = 10_000 * NANO_PER_USD  # no request costs so much; a figure like that is a fault, and never booked
TOKENS_MAX = 2**53
_CHUNK = 500
_COLUMNS = (
    "request_id",
    "at_ms",
    "wallet_id",
    "user_id",
    "key_id",
    "model",
    "operation",
    "stream",
    "status",
    "estimated",
    *[f"{name}_tokens" for name in CLASSES],
    "hold",
    "charge",
    "over_hold",
    "price_version",
    "multiplier_ppm",
    "transaction_id",
    "channel_id",
    "attempts",
    "first_byte_ms",
    "duration_ms",
    "http_status",
    "error_code",
    "client_request_id",
)
_SPEND = "UPDATE wallets SET balance = balance - ?, leased = leased - ? WHERE id = ?"


class Ended(NamedTuple):
    """A request with both its ends."""

    opened: Opened
    closed: Closed


class Stray(NamedTuple):
    """A record that could not be booked, and why."""

    request_id: str
    reason: str
    record: bytes


def book(c: Connection, *, journal: str, ended: Sequence[Ended], now_ms: Millis) -> list[Stray]:
    """Book requests of one journal, none of which is booked yet; gives those that could not be."""
    if not ended:
        return []
    known = leases.lock_wallets(c, {one.opened.wallet_id for one in ended})
    charges: dict[int, int] = {}
    good: list[Ended] = []
    bad: list[Stray] = []
    for one in ended:
        reason = _objection(one, known)
        if reason is None:
            good.append(one)
            if one.closed.charge:
                charges[one.opened.wallet_id] = charges.get(one.opened.wallet_id, 0) + one.closed.charge
        else:
            bad.append(Stray(one.opened.request_id, reason, pack(one.opened)))
            bad.append(Stray(one.opened.request_id, reason, pack(one.closed)))
    transaction_of = _post(c, journal=journal, charges=charges, now_ms=now_ms)
    insert_rows(c, usage, columns=_COLUMNS, rows=[_row(one, transaction_of) for one in good])
    return bad


def booked_already(c: Connection, request_ids: Collection[str]) -> set[str]:
    """Tell which of these requests are booked."""
    ids = sorted(request_ids)
    done: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        done.update(
            c.execute(select(usage.c.request_id).where(usage.c.request_id.in_(ids[start : start + _CHUNK]))).scalars()
        )
    return done


def park(c: Connection, *, journal: str, strays: Sequence[Stray], now_ms: Millis) -> None:
    """Keep records that could not be booked, where ``verify`` shows them."""
    if strays:
        c.execute(insert(strays_table), [{**stray._asdict(), "journal": journal, "at_ms": now_ms} for stray in strays])


def _objection(one: Ended, known: set[int]) -> str | None:
    """Say why a request cannot be booked."""
    if one.opened.wallet_id not in known:
        return "no such wallet"
    if not 0 <= one.closed.charge <= CHARGE_MAX:
        return "no possible charge"
    counts = astuple(one.closed.usage)
    if min(counts) < 0 or max(counts) > TOKENS_MAX:
        return "no possible count of tokens"
    return None


def _post(c: Connection, *, journal: str, charges: dict[int, int], now_ms: Millis) -> dict[int, int]:
    """Take the charges off their wallets; gives the transaction of each wallet."""
    if not charges:
        return {}
    ids = sorted(charges)
    account_of: dict[int, int] = {}
    for some in leases.chunks(ids):
        query = select(accounts.c.wallet_id, accounts.c.id).where(accounts.c.wallet_id.in_(some))
        account_of.update((row.wallet_id, row.id) for row in c.execute(query))
    revenue = system_account(c, "revenue")
    transaction_of = dict(zip(ids, new_ids(c, transactions, len(ids)), strict=True))
    rows: list[tuple[object, ...]] = [(made, now_ms, "usage", journal) for made in transaction_of.values()]
    insert_rows(c, transactions, columns=("id", "at_ms", "kind", "memo"), rows=rows)
    lines: list[tuple[object, ...]] = []
    for wallet, transaction in transaction_of.items():
        charge = charges[wallet]
        lines.append((transaction, account_of[wallet], -charge))
        lines.append((transaction, revenue, charge))
    insert_rows(c, entries, columns=("transaction_id", "account_id", "amount"), rows=lines)
    released = leases.book(c, journal=journal, charges=charges)
    run_rows(c, _SPEND, [(charges[wallet], released.get(wallet, 0), wallet) for wallet in ids])
    return transaction_of


def _row(one: Ended, transaction_of: dict[int, int]) -> tuple[object, ...]:
    """Show a request as a row of ``usage``, in the order of its columns."""
    opened, closed = one
    return (
        opened.request_id,
        opened.at_ms,
        opened.wallet_id,
        opened.user_id,
        opened.key_id,
        _text(opened.model, 255),
        opened.operation,
        opened.stream,
        closed.status,
        closed.estimated,
        *astuple(closed.usage),
        opened.hold,
        closed.charge,
        closed.over_hold or closed.charge > opened.hold,
        opened.price_version,
        opened.multiplier_ppm,
        transaction_of[opened.wallet_id] if closed.charge else None,
        closed.channel_id,
        closed.attempts,
        closed.first_byte_ms,
        closed.duration_ms,
        closed.http_status,
        closed.error_code,
        _text(opened.client_request_id, 128),
    )


def _text(text: str, length: int) -> str:
    """Cut what a column cannot hold: one caller's odd name must not keep a whole batch from being booked."""
    return text.replace("\0", "")[:length]
