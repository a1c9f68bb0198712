"""What usage costs, exactly; the only place where money is rounded (once, half up)."""

from __future__ import annotations

from operator import mul

import msgspec
from msgspec.structs import astuple

from yizhan.catalog.entries import Price
from yizhan.money import Money
from yizhan.protocols.usage import Usage

_PER_MILLION = 1_000_000
LIST_PRICE_PPM = 1_000_000
_SCALE = _PER_MILLION * LIST_PRICE_PPM


class Tariff(msgspec.Struct, frozen=True):
    """A price with its fallbacks applied, made once a version: nano-USD per million tokens."""

    price: Price
    rate: tuple[int, ...]  # by token class, in the order of Usage
    dearest_in: int
    dearest_out: int


def tariff(price: Price) -> Tariff:
    """Apply the fallbacks of a price; the result is kept as long as this version is used."""
    known = _tariffs.get(price.version)
    if known is not None and known.price is price:
        return known
    rate = rates(price)
    made = Tariff(
        price=price,
        rate=astuple(rate),
        dearest_in=max(
            rate.input,
            rate.cached_input,
            rate.cache_write_5m,
            rate.cache_write_1h,
            rate.image_input,
            rate.audio_input,
        ),
        dearest_out=max(rate.output, rate.reasoning, rate.image_output, rate.audio_output),
    )
    if len(_tariffs) >= _TARIFFS_MAX:
        _tariffs.clear()
    _tariffs[price.version] = made
    return made


_tariffs: dict[int, Tariff] = {}
_TARIFFS_MAX = 10_000


def rates(price: Price) -> Usage:
    """List nano-USD per million tokens for each token class, with the fallbacks applied."""
    write_5m = _first(price.cache_write_5m, price.input)
    return Usage(
        input=price.input,
        cached_input=_first(price.cached_input, price.input),
        cache_write_5m=write_5m,
        cache_write_1h=_first(price.cache_write_1h, write_5m),
        image_input=_first(price.image_input, price.input),
        audio_input=_first(price.audio_input, price.input),
        output=price.output,
        reasoning=_first(price.reasoning, price.output),
        image_output=_first(price.image_output, price.output),
        audio_output=_first(price.audio_output, price.output),
    )


def charge(usage: Usage, *, price: Price, multiplier_ppm: int) -> Money:
    """Price what was used. Rounded half up to a nano-USD, once."""
    if price.free:
        return Money(0)
    per_mtok = sum(map(mul, astuple(usage), tariff(price).rate))
    return _rounded(per_mtok + price.per_request * _PER_MILLION, multiplier_ppm)


def most(*, input_tokens: int, output_tokens: int, price: Price, multiplier_ppm: int) -> Money:
    """Price the dearest way so many tokens could turn out: what a hold must cover."""
    if price.free:
        return Money(0)
    dearest = tariff(price)
    per_mtok = input_tokens * dearest.dearest_in + output_tokens * dearest.dearest_out
    return _rounded(per_mtok + price.per_request * _PER_MILLION, multiplier_ppm)


def _rounded(per_mtok: int, multiplier_ppm: int) -> Money:
    return Money((per_mtok * multiplier_ppm + _SCALE // 2) // _SCALE)


def _first(rate: int | None, fallback: int) -> int:
    return fallback if rate is None else rate
