"""Users, their wallets and their sessions, in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Connection, Row, cast, delete, func, insert, select, update

from yizhan.billing import ledger
from yizhan.errors import AlreadyThere, NotFound
from yizhan.store import changes
from yizhan.store.tables import groups, keys, running, sessions, users, wallets
from yizhan.web.access import Person, Role


def user_id(connection: Connection, name: str) -> int:
    """Find a user's id; raises NotFound."""
    found = connection.execute(select(users.c.id).where(users.c.name == name)).scalar()
    if found is None:
        raise NotFound(f"There is no user {name!r}.", param="name")
    return int(found)


def add_user(
    connection: Connection, *, name: str, role: Role, password_hash: str | None, group: str, now_ms: int
) -> int:
    """Add a user with an empty wallet and its ledger account; raises AlreadyThere, NotFound (the group)."""
    if connection.execute(select(users.c.id).where(users.c.name == name)).first() is not None:
        raise AlreadyThere(f"There is a user {name!r} already.", param="name")
    must_be_group(connection, group)
    row = {"name": name, "role": role, "password_hash": password_hash, "price_group": group, "created_ms": now_ms}
    added = int(connection.execute(insert(users).values(row).returning(users.c.id)).scalar_one())
    ledger.open_wallet(connection, user_id=added, now_ms=now_ms)
    return added


def must_be_group(connection: Connection, name: str) -> None:
    """Raise NotFound unless there is such a price group."""
    if connection.execute(select(groups.c.name).where(groups.c.name == name)).first() is None:
        raise NotFound(f"There is no group {name!r}.", param="group")


def list_users(connection: Connection, *, after: int, limit: int, name: str | None = None) -> list[Row[Any]]:
    """List users with their wallets and what running requests hold, oldest first, from an id on."""
    total = cast(func.coalesce(func.sum(running.c.hold), 0), BigInteger)  # PostgreSQL's sum is a decimal
    held = select(total).where(running.c.wallet_id == wallets.c.id).scalar_subquery()
    wanted = (
        select(users, wallets.c.balance, wallets.c.leased, held.label("held"))
        .join(wallets, wallets.c.user_id == users.c.id)
        .where(users.c.id > after)
        .order_by(users.c.id)
        .limit(limit)
    )
    if name is not None:
        wanted = wanted.where(users.c.name == name)
    return list(connection.execute(wanted))


def set_user(connection: Connection, name: str, *, fields: dict[str, Any], now_ms: int) -> int:
    """Change a user; gateways forget the user's keys, and a new password or status ends the sessions."""
    found = user_id(connection, name)
    if "price_group" in fields:
        must_be_group(connection, fields["price_group"])
    connection.execute(update(users).where(users.c.id == found).values(**fields))
    if fields.keys() & {"status", "password_hash", "role"}:
        connection.execute(delete(sessions).where(sessions.c.user_id == found))
    if fields.keys() & {"status", "price_group"}:
        for (key_hash,) in connection.execute(select(keys.c.key_hash).where(keys.c.user_id == found)).all():
            changes.announce(connection, kind="key", key=key_hash.hex(), now_ms=now_ms)
    return found


def owners(connection: Connection) -> int:
    """Count the owners who can act."""
    return len(connection.execute(select(users.c.id).where(users.c.role == "owner", users.c.status == "enabled")).all())


def who_signs_in(connection: Connection, name: str) -> Row[Any] | None:
    """Find what a sign-in is checked against."""
    return connection.execute(select(users).where(users.c.name == name)).first()


def open_session(connection: Connection, *, token_hash: bytes, holder: int, now_ms: int, expires_ms: int) -> None:
    """Remember a session, and forget those that are over."""
    connection.execute(delete(sessions).where(sessions.c.expires_ms <= now_ms))
    connection.execute(
        insert(sessions).values(token_hash=token_hash, user_id=holder, created_ms=now_ms, expires_ms=expires_ms)
    )


def close_session(connection: Connection, *, token_hash: bytes) -> None:
    """Forget a session."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def session_holder(connection: Connection, *, token_hash: bytes, now_ms: int) -> Person | None:
    """Find who holds a session that is not over, unless the user was switched off."""
    row = connection.execute(
        select(users.c.id, users.c.name, users.c.role)
        .join(sessions, sessions.c.user_id == users.c.id)
        .where(
            sessions.c.token_hash == token_hash,
            sessions.c.expires_ms > now_ms,
            users.c.status == "enabled",
        )
    ).first()
    return None if row is None else Person(id=row.id, name=row.name, role=row.role)
