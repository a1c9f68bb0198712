"""API keys, in SQL and in the shape the API shows. A key itself is seen once, in the answer that makes it."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from yizhan.accounts.queries import must_be_group, user_id
from yizhan.errors import NotFound
from yizhan.store import changes
from yizhan.store.tables import keys, users, wallets


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key as people may see it."""

    id: int
    user: str
    title: str
    tail: str
    status: str
    group: str | None
    models: list[str] | None
    created_ms: int
    expires_ms: int | None


def view(row: Row[Any]) -> KeyView:
    """Show a row of ``list_keys``."""
    return KeyView(
        id=row.id,
        user=row.user,
        title=row.title,
        tail=row.tail,
        status=row.status,
        group=row.price_group,
        models=row.models,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
    )


def add_key(
    connection: Connection,
    *,
    owner: str,
    title: str,
    key_hash: bytes,
    tail: str,
    group: str | None = None,
    models: list[str] | None = None,
    expires_ms: int | None = None,
    now_ms: int,
) -> int:
    """Add a key to a user's wallet; raises NotFound."""
    holder = user_id(connection, owner)
    if group is not None:
        must_be_group(connection, group)
    wallet = connection.execute(select(wallets.c.id).where(wallets.c.user_id == holder)).scalars().first()
    row = {
        "user_id": holder,
        "wallet_id": wallet,
        "title": title,
        "key_hash": key_hash,
        "tail": tail,
        "price_group": group,
        "models": models,
        "expires_ms": expires_ms,
        "created_ms": now_ms,
    }
    added = connection.execute(insert(keys).values(row).returning(keys.c.id)).scalar_one()
    changes.announce(connection, kind="key", key=key_hash.hex(), now_ms=now_ms)  # a worker may remember it as unknown
    return int(added)


def list_keys(
    connection: Connection, *, owner: str | None = None, id_: int | None = None, after: int = 0, limit: int = 500
) -> list[Row[Any]]:
    """List keys with their owners' names, oldest first."""
    wanted = (
        select(keys, users.c.name.label("user"))
        .join(users, users.c.id == keys.c.user_id)
        .where(keys.c.id > after)
        .order_by(keys.c.id)
        .limit(limit)
    )
    if owner is not None:
        user_id(connection, owner)
        wanted = wanted.where(users.c.name == owner)
    if id_ is not None:
        wanted = wanted.where(keys.c.id == id_)
    return list(connection.execute(wanted))


def find_key(connection: Connection, id_: int) -> Row[Any]:
    """Find a key by its id; raises NotFound."""
    found = list_keys(connection, id_=id_)
    if not found:
        raise NotFound(f"There is no key {id_}.", param="id")
    return found[0]


def set_key(connection: Connection, id_: int, *, fields: dict[str, Any], now_ms: int) -> Row[Any]:
    """Change a key; every gateway forgets what it knew of it."""
    if fields.get("price_group") is not None:
        must_be_group(connection, fields["price_group"])
    old = find_key(connection, id_)
    connection.execute(update(keys).where(keys.c.id == id_).values(**fields))
    changes.announce(connection, kind="key", key=old.key_hash.hex(), now_ms=now_ms)
    return find_key(connection, id_)
