"""The price book in SQL: versions are added, never changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from yizhan.catalog.entries import Price
from yizhan.errors import NotFound
from yizhan.store import changes
from yizhan.store.catalog import rates_of
from yizhan.store.tables import groups, models, prices


def add_price(connection: Connection, price: Price, *, source: str, now_ms: int, withdrawn: bool = False) -> Row[Any]:
    """Put a new version of a model's price in force, and tell the gateways."""
    row = {
        "model": price.model,
        "rates": rates_of(price),
        "source": source,
        "withdrawn": withdrawn,
        "created_ms": now_ms,
    }
    version = connection.execute(insert(prices).values(row).returning(prices.c.version)).scalar_one()
    changes.announce(connection, kind="price", key=price.model, now_ms=now_ms)
    return connection.execute(select(prices).where(prices.c.version == version)).one()


def add_prices(connection: Connection, wanted: list[Price], *, source: str, now_ms: int) -> None:
    """Put many prices in force at once. Not announced: for a book that no gateway has read yet."""
    rows = [
        {"model": price.model, "rates": rates_of(price), "source": source, "created_ms": now_ms} for price in wanted
    ]
    if rows:
        connection.execute(insert(prices), rows)


def any_price(connection: Connection) -> bool:
    """Say whether the book holds anything."""
    return connection.execute(select(prices.c.version).limit(1)).first() is not None


def versions(connection: Connection, model: str, *, limit: int = 100) -> list[Row[Any]]:
    """List a model's versions, the one in force first; raises NotFound where there is none."""
    found = connection.execute(
        select(prices).where(prices.c.model == model).order_by(prices.c.version.desc()).limit(limit)
    ).all()
    if not found:
        raise NotFound(f"{model!r} has no price.", param="model")
    return list(found)


def in_force(connection: Connection, *, after: str, limit: int) -> list[Row[Any]]:
    """List the prices in force by model name, from a name on."""
    newest = select(func.max(prices.c.version)).group_by(prices.c.model)
    return list(
        connection.execute(
            select(prices)
            .where(prices.c.version.in_(newest), prices.c.withdrawn.is_(False), prices.c.model > after)
            .order_by(prices.c.model)
            .limit(limit)
        ),
    )


def list_groups(connection: Connection) -> list[Row[Any]]:
    """List the price groups."""
    return list(connection.execute(select(groups).order_by(groups.c.name)))


def set_group(connection: Connection, name: str, *, multiplier_ppm: int, note: str, now_ms: int) -> Row[Any]:
    """Add or change a price group, and tell the gateways."""
    values = {"multiplier_ppm": multiplier_ppm, "note": note}
    if connection.execute(update(groups).where(groups.c.name == name).values(**values)).rowcount == 0:
        connection.execute(insert(groups).values(name=name, **values))
    changes.announce(connection, kind="group", key=name, now_ms=now_ms)
    return connection.execute(select(groups).where(groups.c.name == name)).one()


def list_models(connection: Connection, *, after: str, limit: int) -> list[Row[Any]]:
    """List what is known of models, by name."""
    return list(
        connection.execute(select(models).where(models.c.name > after).order_by(models.c.name).limit(limit)),
    )


def set_model(connection: Connection, name: str, *, fields: dict[str, Any], now_ms: int) -> Row[Any]:
    """Add or change what is known of a model, and tell the gateways."""
    known = connection.execute(select(models.c.name).where(models.c.name == name)).first()
    if known is None:
        connection.execute(insert(models).values(name=name, created_s=now_ms // 1000, **fields))
    elif fields:
        connection.execute(update(models).where(models.c.name == name).values(**fields))
    changes.announce(connection, kind="model", key=name, now_ms=now_ms)
    return connection.execute(select(models).where(models.c.name == name)).one()
