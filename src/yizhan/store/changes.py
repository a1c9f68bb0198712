"""The outbox: every write that gateways must learn of leaves a row here, in the same transaction."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from yizhan.clock import Millis
from yizhan.store.engine import ANNOUNCED
from yizhan.store.tables import changes, counters

Kind = Literal["channel", "model", "price", "group", "key", "wallet"]
KINDS: tuple[str, ...] = get_args(Kind)
_COUNTER = "changes"


class Announced(msgspec.Struct, frozen=True):
    """One row of the outbox."""

    seq: int
    kind: str
    key: str
    at_ms: Millis


def announce(connection: Connection, *, kind: Kind, key: str, now_ms: Millis) -> int:
    """Say that an entry changed; gives its number. Call it last: from here to the commit, others wait to announce.

    The numbers have no gaps and become visible in order, since the counter's row stays locked until the commit.
    ``key`` is a channel's or wallet's id, a model's or group's name, or the hex of a key's hash.
    """
    assert kind in KINDS, kind
    seq: int = connection.execute(
        update(counters)
        .where(counters.c.name == _COUNTER)
        .values(value=counters.c.value + 1)
        .returning(counters.c.value)
    ).scalar_one()
    connection.execute(insert(changes).values(seq=seq, kind=kind, key=key, at_ms=now_ms))
    connection.info[ANNOUNCED] = True
    return seq


def last_seq(connection: Connection) -> int:
    """Tell the number of the newest change."""
    seq: int = connection.execute(select(counters.c.value).where(counters.c.name == _COUNTER)).scalar_one()
    return seq


def since(connection: Connection, seq: int, *, limit: int = 10_000) -> list[Announced] | None:
    """List what changed after ``seq``, oldest first; None where that is not known any more, or was never given out."""
    rows = connection.execute(
        select(changes.c.seq, changes.c.kind, changes.c.key, changes.c.at_ms)
        .where(changes.c.seq > seq)
        .order_by(changes.c.seq)
        .limit(limit)
    ).all()
    if not rows:
        return [] if last_seq(connection) == seq else None
    if rows[0].seq != seq + 1:
        return None
    return [Announced(seq=row.seq, kind=row.kind, key=row.key, at_ms=row.at_ms) for row in rows]


def prune(connection: Connection, *, before_ms: Millis) -> int:
    """Forget old changes, but for the newest; who still needed one takes a whole snapshot. Gives how many went."""
    newest = select(func.max(changes.c.seq)).scalar_subquery()
    return connection.execute(delete(changes).where(changes.c.at_ms < before_ms, changes.c.seq < newest)).rowcount
