"""The double-entry ledger: transactions whose entries sum to zero, and are never changed.

A wallet's account grows by topping up (wallet +, payment or promotion −) and shrinks by use (wallet −, revenue +), so
that its entries sum to what the wallet's ``balance`` says. Who posts to a wallet holds its row's lock until the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from yizhan.clock import Millis
from yizhan.errors import NoSuchWallet, NotThatMuch, ReferenceTaken
from yizhan.money import ZERO, Money
from yizhan.store.changes import announce
from yizhan.store.tables import accounts, entries, transactions, wallets

TransactionKind = Literal["topup", "usage", "refund", "correction"]
SystemAccount = Literal["revenue", "cost", "promotion", "payment", "refund", "correction"]
Source = Literal["payment", "promotion"]


def open_wallet(c: Connection, *, user_id: int, now_ms: Millis) -> int:
    """Make a wallet with its account; gives its id."""
    wallet_id: int = c.execute(
        insert(wallets).values(user_id=user_id, balance=0, leased=0, created_ms=now_ms).returning(wallets.c.id)
    ).scalar_one()
    c.execute(insert(accounts).values(kind="wallet", wallet_id=wallet_id))
    return wallet_id


def topup(
    c: Connection,
    *,
    wallet_id: int,
    amount: Money,
    source: Source,
    actor: str,
    reference: str | None,
    now_ms: Millis,
    memo: str = "",
) -> int:
    """Credit a wallet and tell the gateways; gives the transaction's id. A reference counts once: again is a no-op.

    Raises NoSuchWallet, NotThatMuch for an amount that is not positive, ReferenceTaken.
    """
    if amount <= ZERO:
        raise NotThatMuch("a top-up must be more than nothing")
    _lock(c, wallet_id)
    account = wallet_account(c, wallet_id=wallet_id)
    posted = _posted(c, reference=reference, account=account, amount=amount)
    if posted is not None:
        return posted
    lines = [(account, amount), (system_account(c, source), -amount)]
    transaction = post(c, kind="topup", lines=lines, now_ms=now_ms, memo=memo, actor=actor, reference=reference)
    announce(c, kind="wallet", key=str(wallet_id), now_ms=now_ms)
    return transaction


def refund(
    c: Connection,
    *,
    wallet_id: int,
    amount: Money,
    actor: str,
    reference: str | None,
    now_ms: Millis,
    memo: str = "",
) -> int:
    """Pay money out of a wallet, back to whom it came from; gives the transaction's id. A reference counts once.

    Raises NoSuchWallet, ReferenceTaken, NotThatMuch when it is more than what is neither spent nor lent.
    """
    balance, leased = _lock(c, wallet_id)
    account = wallet_account(c, wallet_id=wallet_id)
    posted = _posted(c, reference=reference, account=account, amount=-amount)
    if posted is not None:
        return posted
    if not ZERO < amount <= balance - leased:
        raise NotThatMuch(f"between 0 and {(balance - leased).usd()} USD can be refunded")
    lines = [(account, -amount), (system_account(c, "refund"), amount)]
    return post(c, kind="refund", lines=lines, now_ms=now_ms, memo=memo, actor=actor, reference=reference)


def correct(
    c: Connection,
    *,
    wallet_id: int,
    amount: Money,
    against: SystemAccount,
    actor: str,
    memo: str,
    now_ms: Millis,
    reference: str | None = None,
) -> int:
    """Add ``amount``, or take it where negative, by a new entry; nothing posted is ever changed.

    May put the wallet below zero: the operator has decided. Raises NoSuchWallet, ReferenceTaken.
    """
    _lock(c, wallet_id)
    account = wallet_account(c, wallet_id=wallet_id)
    posted = _posted(c, reference=reference, account=account, amount=amount)
    if posted is not None:
        return posted
    lines = [(account, amount), (system_account(c, against), -amount)]
    transaction = post(c, kind="correction", lines=lines, now_ms=now_ms, memo=memo, actor=actor, reference=reference)
    announce(c, kind="wallet", key=str(wallet_id), now_ms=now_ms)
    return transaction


def post(
    c: Connection,
    *,
    kind: TransactionKind,
    lines: Sequence[tuple[int, Money]],
    now_ms: Millis,
    memo: str = "",
    actor: str = "",
    reference: str | None = None,
) -> int:
    """Write one transaction and move the balances of the wallets in it; gives its id. The lines must sum to zero."""
    assert len(lines) >= 2, lines
    assert sum((amount for _, amount in lines), ZERO) == ZERO, lines
    transaction: int = c.execute(
        insert(transactions)
        .values(at_ms=now_ms, kind=kind, memo=memo, actor=actor, reference=reference)
        .returning(transactions.c.id)
    ).scalar_one()
    for account, amount in lines:
        c.execute(insert(entries).values(transaction_id=transaction, account_id=account, amount=int(amount)))
        owner = select(accounts.c.wallet_id).where(accounts.c.id == account).scalar_subquery()
        c.execute(update(wallets).where(wallets.c.id == owner).values(balance=wallets.c.balance + int(amount)))
    return transaction


def wallet_account(c: Connection, *, wallet_id: int) -> int:
    """Find the account of a wallet."""
    account: int = c.execute(select(accounts.c.id).where(accounts.c.wallet_id == wallet_id)).scalar_one()
    return account


def system_account(c: Connection, kind: SystemAccount) -> int:
    """Find one of the station's own accounts; the first migration made them."""
    account: int = c.execute(
        select(accounts.c.id).where(accounts.c.kind == kind, accounts.c.wallet_id.is_(None))
    ).scalar_one()
    return account


def _lock(c: Connection, wallet_id: int) -> tuple[Money, Money]:
    row = c.execute(
        select(wallets.c.balance, wallets.c.leased).where(wallets.c.id == wallet_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NoSuchWallet(f"there is no wallet {wallet_id}")
    return Money(row.balance), Money(row.leased)


def _posted(c: Connection, *, reference: str | None, account: int, amount: Money) -> int | None:
    """Find what was posted under this reference; raises ReferenceTaken where it was something else."""
    if reference is None:
        return None
    transaction: int | None = c.execute(
        select(transactions.c.id).where(transactions.c.reference == reference)
    ).scalar_one_or_none()
    if transaction is None:
        return None
    same = select(entries.c.id).where(
        entries.c.transaction_id == transaction, entries.c.account_id == account, entries.c.amount == int(amount)
    )
    if c.execute(same).first() is None:
        raise ReferenceTaken(f"reference {reference} was posted already, and differently")
    return transaction
