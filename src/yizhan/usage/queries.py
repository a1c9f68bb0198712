"""The usage log in SQL."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select, tuple_

from yizhan.store.tables import channels, keys, running, usage, users, wallets


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to list. ``before`` is (at_ms, request_id) of the last row seen."""

    user: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    before: tuple[int, str] | None = None
    limit: int = 100


def list_usage(connection: Connection, wanted: Wanted) -> list[Row[Any]]:
    """List requests, newest first, with the names of user and channel."""
    query = (
        select(usage, users.c.name.label("user"), channels.c.name.label("channel"))
        .join(users, users.c.id == usage.c.user_id, isouter=True)
        .join(channels, channels.c.id == usage.c.channel_id, isouter=True)
        .order_by(usage.c.at_ms.desc(), usage.c.request_id.desc())
        .limit(wanted.limit)
    )
    if wanted.user is not None:
        holder = connection.execute(select(users.c.id).where(users.c.name == wanted.user)).scalar()
        query = query.where(usage.c.user_id == (-1 if holder is None else holder))
    if wanted.since_ms is not None:
        query = query.where(usage.c.at_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        query = query.where(usage.c.at_ms < wanted.until_ms)
    if wanted.before is not None:
        query = query.where(tuple_(usage.c.at_ms, usage.c.request_id) < tuple_(*wanted.before))
    return list(connection.execute(query))


def figures(connection: Connection, *, since_ms: int) -> dict[str, int]:
    """Count what the station has, and what was asked of it since a moment."""
    requests, charge = connection.execute(
        select(func.count(), func.coalesce(func.sum(usage.c.charge), 0)).where(usage.c.at_ms >= since_ms)
    ).one()
    counted = {
        name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
        for name, table in (("users", users), ("keys", keys), ("channels", channels), ("running", running))
    }
    balance, leased = connection.execute(
        select(func.coalesce(func.sum(wallets.c.balance), 0), func.coalesce(func.sum(wallets.c.leased), 0))
    ).one()
    return {
        **counted,
        "balance_nano_usd": int(balance),
        "leased_nano_usd": int(leased),
        "requests_today": int(requests),
        "charge_today_nano_usd": int(charge),
    }
