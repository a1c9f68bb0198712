"""Proving the books: every check is a query whose answer must be empty, from one moment of the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, and_, case, exists, func, or_, select
from sqlalchemy.sql.functions import coalesce

from yizhan.billing.leases import OUTSTANDING
from yizhan.store.tables import (
    accounts,
    entries,
    journals,
    leases,
    running,
    strays,
    transactions,
    usage,
    wallets,
)

LISTED_MAX = 1_000  # of each kind of fault, or of request: the counts are always whole


class Negative(msgspec.Struct, frozen=True):
    """A wallet below zero, and how it came there."""

    wallet_id: int
    balance: int
    reason: str


class Report(msgspec.Struct, frozen=True):
    """What was found. ``ok`` only when no check found anything; the lists below are to be looked at, not faults."""

    ok: bool
    checks: Mapping[str, int]  # what was checked → how many faults were found
    reasons: tuple[str, ...]  # the faults, a line each
    unknown: tuple[str, ...]  # requests whose process died before it recorded anything: free
    unresolved: tuple[str, ...]  # journals whose end nobody knows: their money stays lent
    interrupted: tuple[str, ...]  # requests booked to their last progress record
    negative: tuple[Negative, ...]
    counts: Mapping[str, int]  # how many transactions, usage rows, … there are


def verify(c: Connection) -> Report:
    """Check the books; from ``Database.read``, so that all of them are of one moment. Changes nothing."""
    checks: dict[str, int] = {}
    reasons: list[str] = []
    for name, query, sentence in _checks():
        faults = c.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        checks[name] = faults
        if faults:
            reasons += [sentence.format(**row._mapping) for row in c.execute(query.limit(LISTED_MAX))]  # noqa: SLF001
    negative = tuple(_negative(row) for row in c.execute(_below_zero().limit(LISTED_MAX)))
    unexplained = [wallet for wallet in negative if wallet.reason == "unexplained"]
    checks["wallets below zero are explained"] = len(unexplained)
    reasons += [f"wallet {one.wallet_id} is at {one.balance}, and nothing explains it" for one in unexplained]
    return Report(
        ok=not any(checks.values()),
        checks=checks,
        reasons=tuple(reasons),
        unknown=_requests(c, "unknown"),
        unresolved=_strings(c, select(journals.c.name).where(journals.c.state == "unresolved")),
        interrupted=_requests(c, "interrupted"),
        negative=negative,
        counts=_counts(c),
    )


def _checks() -> Iterator[tuple[str, Select[Any], str]]:
    yield "transactions sum to zero", *_unbalanced()
    yield "wallets equal their entries", *_wrong_balances()
    yield "charges are tied to a transaction", *_untied()
    yield "usage transactions equal their requests", *_wrong_charges()
    yield "no request is booked and running", *_booked_and_running()
    yield "leased money is accounted for", *_wrong_leased()
    yield "ended journals left nothing open", *_left_open()
    yield "every record could be booked", *_strays()


def _unbalanced() -> tuple[Select[Any], str]:
    total = coalesce(func.sum(entries.c.amount), 0)
    count = func.count(entries.c.id)
    query = (
        select(transactions.c.id, total.label("total"), count.label("count"))
        .outerjoin(entries, entries.c.transaction_id == transactions.c.id)
        .group_by(transactions.c.id)
        .having(or_(total != 0, count < 2))
    )
    return query, "transaction {id} has {count} entries that sum to {total}"


def _wrong_balances() -> tuple[Select[Any], str]:
    own = (
        select(coalesce(func.sum(entries.c.amount), 0))
        .join(accounts, entries.c.account_id == accounts.c.id)
        .where(accounts.c.wallet_id == wallets.c.id)
        .scalar_subquery()
    )
    query = select(wallets.c.id, wallets.c.balance, own.label("posted")).where(wallets.c.balance != own)
    return query, "wallet {id} says {balance}, its entries {posted}"


def _untied() -> tuple[Select[Any], str]:
    entered = exists().where(
        entries.c.transaction_id == usage.c.transaction_id,
        entries.c.account_id == accounts.c.id,
        accounts.c.wallet_id == usage.c.wallet_id,
        transactions.c.id == usage.c.transaction_id,
        transactions.c.kind == "usage",
    )
    tied = and_(usage.c.transaction_id.is_not(None), entered)
    query = select(usage.c.request_id, usage.c.charge).where(usage.c.charge != 0, ~tied)
    return query, "request {request_id} was charged {charge}, and no entry of its wallet says so"


def _wrong_charges() -> tuple[Select[Any], str]:
    charged = select(coalesce(func.sum(usage.c.charge), 0)).where(usage.c.transaction_id == transactions.c.id)
    entered = (
        select(coalesce(func.sum(-entries.c.amount), 0))
        .join(accounts, entries.c.account_id == accounts.c.id)
        .where(entries.c.transaction_id == transactions.c.id, accounts.c.kind == "wallet")
    )
    requests, wallet = charged.scalar_subquery(), entered.scalar_subquery()
    query = select(transactions.c.id, requests.label("requests"), wallet.label("entered")).where(
        or_(
            and_(transactions.c.kind == "usage", requests != wallet),
            and_(transactions.c.kind != "usage", requests != 0),
        )
    )
    return query, "transaction {id} takes {entered}, its requests cost {requests}"


def _booked_and_running() -> tuple[Select[Any], str]:
    query = select(running.c.request_id).join(usage, usage.c.request_id == running.c.request_id)
    return query, "request {request_id} is booked, and still counted as running"


def _wrong_leased() -> tuple[Select[Any], str]:
    held = (
        select(coalesce(func.sum(case((OUTSTANDING > 0, OUTSTANDING), else_=0)), 0))
        .where(leases.c.wallet_id == wallets.c.id, leases.c.state != "closed")
        .scalar_subquery()
    )
    query = select(wallets.c.id, wallets.c.leased, held.label("held")).where(wallets.c.leased != held)
    return query, "wallet {id} says {leased} is lent, its leases {held}"


def _left_open() -> tuple[Select[Any], str]:
    lease = exists().where(leases.c.journal == journals.c.name, leases.c.state != "closed")
    request = exists().where(running.c.journal == journals.c.name)
    query = select(journals.c.name).where(journals.c.state == "ended", or_(lease, request))
    return query, "journal {name} has ended, but not all of its leases and requests"


def _strays() -> tuple[Select[Any], str]:
    query = select(strays.c.request_id, strays.c.journal, strays.c.reason)
    return query, "request {request_id} of journal {journal} could not be booked: {reason}"


def _below_zero() -> Select[Any]:
    """Find wallets below zero with what may explain it: reports over the hold, and corrections that took money."""
    excess = (
        select(coalesce(func.sum(usage.c.charge - usage.c.hold), 0))
        .where(usage.c.wallet_id == wallets.c.id, usage.c.charge > usage.c.hold)
        .scalar_subquery()
    )
    corrected = (
        select(coalesce(func.sum(-entries.c.amount), 0))
        .join(accounts, entries.c.account_id == accounts.c.id)
        .join(transactions, entries.c.transaction_id == transactions.c.id)
        .where(accounts.c.wallet_id == wallets.c.id, transactions.c.kind == "correction", entries.c.amount < 0)
        .scalar_subquery()
    )
    return (
        select(wallets.c.id, wallets.c.balance, excess.label("excess"), corrected.label("corrected"))
        .where(wallets.c.balance < 0)
        .order_by(wallets.c.id)
    )


def _negative(row: Row[Any, Any, Any, Any]) -> Negative:
    missing = -row.balance
    if missing <= row.excess:
        reason = "upstreams reported more than the holds"
    elif missing <= row.excess + row.corrected:
        reason = "corrections"
    else:
        reason = "unexplained"
    return Negative(wallet_id=row.id, balance=row.balance, reason=reason)


def _requests(c: Connection, status: str) -> tuple[str, ...]:
    return _strings(c, select(usage.c.request_id).where(usage.c.status == status))


def _strings(c: Connection, query: Select[Any]) -> tuple[str, ...]:
    return tuple(c.execute(query.order_by(query.selected_columns[0]).limit(LISTED_MAX)).scalars())


def _counts(c: Connection) -> dict[str, int]:
    figures: dict[str, Select[Any]] = {
        table.name: select(func.count()).select_from(table)
        for table in (wallets, transactions, entries, usage, running, strays)
    }
    for status in ("unknown", "interrupted"):
        figures[status] = select(func.count()).where(usage.c.status == status)
    figures["over_hold"] = select(func.count()).where(usage.c.over_hold.is_(True))
    return {name: c.execute(query).scalar_one() for name, query in figures.items()}
