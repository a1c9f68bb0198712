"""The catalog as gateways get it: whole, or what moved since a number of theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, func, select

from yizhan.catalog.entries import Channel, Group, Model, Price
from yizhan.catalog.snapshot import Change, Snapshot
from yizhan.link.messages import Delta
from yizhan.store import changes as outbox
from yizhan.store.tables import channels, groups, models, prices

Unseal = Callable[[bytes], bytes]
_CHUNK = 500  # keys looked up at once, below every driver's limit of parameters


def snapshot(connection: Connection, unseal: Unseal) -> Snapshot:
    """Read the whole catalog at its newest number; from ``Database.read``, so that all of it is of one moment."""
    return Snapshot(
        seq=outbox.last_seq(connection),
        channels={row.id: channel_of(row, unseal) for row in connection.execute(select(channels))},
        models={row.name: _model_of(row) for row in connection.execute(select(models))},
        prices={row.model: price_of(row) for row in connection.execute(_prices_in_force())},
        groups={row.name: _group_of(row) for row in connection.execute(select(groups))},
    )


def changes(connection: Connection, seq: int, unseal: Unseal) -> Delta | None:
    """Read what moved since ``seq``, as it stands now; None where only a whole snapshot can help."""
    rows = outbox.since(connection, seq)
    if rows is None:
        return None
    keys: dict[str, dict[str, None]] = {kind: {} for kind in outbox.KINDS}  # dicts keep the order and drop repeats
    for row in rows:
        keys[row.kind][row.key] = None
    return Delta(
        since=seq,
        seq=rows[-1].seq if rows else seq,
        changes=(
            *_channel_changes(connection, keys["channel"], unseal),
            *_model_changes(connection, keys["model"]),
            *_price_changes(connection, keys["price"]),
            *_group_changes(connection, keys["group"]),
        ),
        key_hashes=tuple(bytes.fromhex(key) for key in keys["key"]),
        wallets=tuple(int(key) for key in keys["wallet"]),
    )


def price_in_force(connection: Connection, *, model: str) -> Price | None:
    """Find what the model costs now; None: it is not sold."""
    row = connection.execute(_prices_in_force().where(prices.c.model == model)).one_or_none()
    return None if row is None else price_of(row)


def price_version(connection: Connection, *, version: int) -> Price | None:
    """Find a version of a price, in force or not: what a receipt is recomputed from."""
    row = connection.execute(select(prices).where(prices.c.version == version)).one_or_none()
    return None if row is None else price_of(row)


def price_of(row: Row[Any]) -> Price:
    """Read a price from its row."""
    return msgspec.convert({**row.rates, "version": row.version, "model": row.model}, Price)


def rates_of(price: Price) -> dict[str, Any]:
    """Show a price as ``prices.rates`` keeps it: without version and model, which have columns of their own."""
    return {name: value for name, value in msgspec.to_builtins(price).items() if name not in {"version", "model"}}


def channel_of(row: Row[Any], unseal: Unseal) -> Channel:
    """Read a channel from its row, its secrets opened."""
    return Channel(
        id=row.id,
        name=row.name,
        vendor=row.vendor,
        base_url=row.base_url,
        keys=msgspec.json.decode(unseal(row.keys_sealed), type=tuple[str, ...]),
        models=row.models,
        groups=tuple(row.groups),
        priority=row.priority,
        weight=row.weight,
        enabled=row.enabled,
        proxy=None if row.proxy_sealed is None else unseal(row.proxy_sealed).decode(),
    )


def _prices_in_force() -> Select[Any]:
    newest = select(func.max(prices.c.version)).group_by(prices.c.model)
    return select(prices).where(prices.c.version.in_(newest), prices.c.withdrawn.is_(False))


def _model_of(row: Row[Any]) -> Model:
    return Model(
        name=row.name,
        owned_by=row.owned_by,
        created_s=row.created_s,
        context_tokens=row.context_tokens,
        output_tokens_max=row.output_tokens_max,
    )


def _group_of(row: Row[Any]) -> Group:
    return Group(name=row.name, multiplier_ppm=row.multiplier_ppm)


def _found(connection: Connection, query: Select[Any], column: Any, keys: Collection[Any]) -> list[Row[Any]]:
    wanted = list(keys)
    rows: list[Row[Any]] = []
    for start in range(0, len(wanted), _CHUNK):
        rows += connection.execute(query.where(column.in_(wanted[start : start + _CHUNK]))).all()
    return rows


def _channel_changes(connection: Connection, keys: Collection[str], unseal: Unseal) -> list[Change]:
    rows = _found(connection, select(channels), channels.c.id, [int(key) for key in keys])
    now = {str(row.id): channel_of(row, unseal) for row in rows}
    return [Change(kind="channel", key=key, channel=now.get(key)) for key in keys]


def _model_changes(connection: Connection, keys: Collection[str]) -> list[Change]:
    now = {row.name: _model_of(row) for row in _found(connection, select(models), models.c.name, keys)}
    return [Change(kind="model", key=key, model=now.get(key)) for key in keys]


def _price_changes(connection: Connection, keys: Collection[str]) -> list[Change]:
    now = {row.model: price_of(row) for row in _found(connection, _prices_in_force(), prices.c.model, keys)}
    return [Change(kind="price", key=key, price=now.get(key)) for key in keys]


def _group_changes(connection: Connection, keys: Collection[str]) -> list[Change]:
    now = {row.name: _group_of(row) for row in _found(connection, select(groups), groups.c.name, keys)}
    return [Change(kind="group", key=key, group=now.get(key)) for key in keys]
