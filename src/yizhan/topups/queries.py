"""Top-ups in SQL; the posting itself is the ledger's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from yizhan.errors import NotFound
from yizhan.store.tables import accounts, entries, transactions, users, wallets


def wallet_of(connection: Connection, name: str) -> int:
    """Find a user's wallet; raises NotFound."""
    found = connection.execute(
        select(wallets.c.id).join(users, users.c.id == wallets.c.user_id).where(users.c.name == name)
    ).scalar()
    if found is None:
        raise NotFound(f"There is no user {name!r}.", param="user")
    return int(found)


def balance_of(connection: Connection, wallet_id: int) -> int:
    """Read a wallet's posted balance."""
    return int(connection.execute(select(wallets.c.balance).where(wallets.c.id == wallet_id)).scalar_one())


def list_topups(connection: Connection, *, user: str | None, before: int | None, limit: int) -> list[Row[Any]]:
    """List top-ups, newest first."""
    wanted = (
        select(
            transactions.c.id,
            transactions.c.at_ms,
            transactions.c.memo,
            transactions.c.actor,
            transactions.c.reference,
            entries.c.amount,
            users.c.name.label("user"),
        )
        .join(entries, entries.c.transaction_id == transactions.c.id)
        .join(accounts, accounts.c.id == entries.c.account_id)
        .join(wallets, wallets.c.id == accounts.c.wallet_id)
        .join(users, users.c.id == wallets.c.user_id)
        .where(transactions.c.kind == "topup")
        .order_by(transactions.c.id.desc())
        .limit(limit)
    )
    if user is not None:
        wanted = wanted.where(users.c.name == user)
    if before is not None:
        wanted = wanted.where(transactions.c.id < before)
    return list(connection.execute(wanted))
