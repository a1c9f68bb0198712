"""Prices as people write and read them: USD as decimal text; inside, whole nano-USD."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from yizhan.catalog.entries import Price
from yizhan.errors import BadRequest
from yizhan.money import Money
from yizhan.store.catalog import price_of

RATES = (
    "input",
    "output",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
    "image_input",
    "audio_input",
    "reasoning",
    "image_output",
    "audio_output",
)
RATE_MAX = Money.from_usd("1000000")  # a million USD per million tokens: beyond it the sum could leave 64 bits


class PriceView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a price. ``usd_per_mtok``: USD per million tokens of a class, as exact decimal text."""

    version: int
    model: str
    free: bool
    usd_per_mtok: dict[str, str]
    usd_per_request: str
    source: str
    withdrawn: bool
    created_ms: int


def view(row: Row[Any]) -> PriceView:
    """Show a row of the price book."""
    price = price_of(row)
    rates = {name: getattr(price, name) for name in RATES}
    return PriceView(
        version=row.version,
        model=row.model,
        free=price.free,
        usd_per_mtok={name: Money(rate).usd() for name, rate in rates.items() if rate is not None},
        usd_per_request=Money(price.per_request).usd(),
        source=row.source,
        withdrawn=row.withdrawn,
        created_ms=row.created_ms,
    )


def priced(model: str, *, free: bool, usd_per_mtok: dict[str, str], usd_per_request: str) -> Price:
    """Read a price as written; raises BadRequest for unknown classes, bad amounts, and a price of nothing."""
    check_model(model)
    unknown = usd_per_mtok.keys() - set(RATES)
    if unknown:
        raise BadRequest(f"There is no token class {min(unknown)!r}.", param="usd_per_mtok")
    rates = {name: int(_amount(text, param=f"usd_per_mtok.{name}")) for name, text in usd_per_mtok.items()}
    per_request = int(_amount(usd_per_request, param="usd_per_request"))
    if free and (any(rates.values()) or per_request):
        raise BadRequest("A free model has no rates.", param="free")
    if not free and not any(rates.values()) and not per_request:
        raise BadRequest("Give a rate, or say that the model is free.", param="usd_per_mtok")
    return Price(version=0, model=model, free=free, per_request=per_request, **rates)


def check_model(name: str) -> None:
    """Raise BadRequest for a name no request could ask for."""
    if not name or len(name) > 255 or not name.isprintable() or name != name.strip():
        raise BadRequest("A model's name has 1 to 255 printable characters.", param="model")


def _amount(text: str, *, param: str) -> Money:
    try:
        amount = Money.from_usd(text)
    except (ValueError, OverflowError) as error:
        raise BadRequest(str(error), param=param) from None
    if not 0 <= amount <= RATE_MAX:
        raise BadRequest("A price is between 0 and a million USD.", param=param)
    return amount
