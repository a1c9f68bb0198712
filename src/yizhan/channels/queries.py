"""Channels in SQL. Their secrets go in and out sealed; opening them is for who may."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from yizhan.errors import AlreadyThere, NotFound
from yizhan.store import changes
from yizhan.store.tables import channels


def find_channel(connection: Connection, ref: str) -> Row[Any]:
    """Find a channel by its name, or else by its id; raises NotFound."""
    row = connection.execute(select(channels).where(channels.c.name == ref)).first()
    if row is None and ref.isascii() and ref.isdigit() and len(ref) < 19:
        row = connection.execute(select(channels).where(channels.c.id == int(ref))).first()
    if row is None:
        raise NotFound(f"There is no channel {ref!r}.", param="channel")
    return row


def list_channels(connection: Connection, *, after: int, limit: int) -> list[Row[Any]]:
    """List channels, oldest first."""
    return list(
        connection.execute(select(channels).where(channels.c.id > after).order_by(channels.c.id).limit(limit)),
    )


def add_channel(connection: Connection, *, fields: dict[str, Any], now_ms: int) -> Row[Any]:
    """Add a channel and tell the gateways; raises AlreadyThere."""
    _must_be_free(connection, fields["name"], but=0)
    added = connection.execute(
        insert(channels).values(**fields, created_ms=now_ms).returning(channels.c.id)
    ).scalar_one()
    changes.announce(connection, kind="channel", key=str(added), now_ms=now_ms)
    return _by_id(connection, added)


def set_channel(connection: Connection, ref: str, *, fields: dict[str, Any], now_ms: int) -> Row[Any]:
    """Change a channel and tell the gateways; raises NotFound, AlreadyThere."""
    row = find_channel(connection, ref)
    if not fields:
        return row
    if "name" in fields:
        _must_be_free(connection, fields["name"], but=row.id)
    connection.execute(update(channels).where(channels.c.id == row.id).values(**fields))
    changes.announce(connection, kind="channel", key=str(row.id), now_ms=now_ms)
    return _by_id(connection, row.id)


def remove_channel(connection: Connection, ref: str, *, now_ms: int) -> Row[Any]:
    """Remove a channel and tell the gateways; usage rows keep its id. Raises NotFound."""
    row = find_channel(connection, ref)
    connection.execute(delete(channels).where(channels.c.id == row.id))
    changes.announce(connection, kind="channel", key=str(row.id), now_ms=now_ms)
    return row


def _by_id(connection: Connection, id_: int) -> Row[Any]:
    return connection.execute(select(channels).where(channels.c.id == id_)).one()


def _must_be_free(connection: Connection, name: str, *, but: int) -> None:
    taken = connection.execute(select(channels.c.id).where(channels.c.name == name)).scalar()
    if taken is not None and taken != but:
        raise AlreadyThere(f"There is a channel {name!r} already.", param="name")
