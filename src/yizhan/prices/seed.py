"""The first price book, from the data bundled with genai-prices (pinned; nothing is fetched).

Vendors' own list prices only: resellers name the same models at other prices. Where a price has tiers or hours, the
dearest is taken, so that the operator never pays more than the caller; an exact price is the operator's to set.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import msgspec
from sqlalchemy import Connection

from yizhan.catalog.entries import Price
from yizhan.money import NANO_PER_USD
from yizhan.prices import queries

# In order of precedence, where two name the same model.
VENDORS = (
    "openai",
    "anthropic",
    "google",
    "deepseek",
    "mistral",
    "x-ai",
    "moonshotai",
    "zai",
    "zhipuai",
    "minimax",
    "cohere",
    "perplexity",
    "meta",
    "voyageai",
)

_RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write_5m": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "image_input": "input_image_mtok",
    "audio_input": "input_audio_mtok",
    "reasoning": "output_reasoning_mtok",
    "image_output": "output_image_mtok",
    "audio_output": "output_audio_mtok",
}


def seed(connection: Connection, *, now_ms: int) -> int:
    """Fill an empty price book and say how many models it holds now; a book with anything in it is left alone."""
    if queries.any_price(connection):
        return 0
    wanted = bundled(now_ms)
    queries.add_prices(connection, wanted, source=f"genai-prices=={version('genai-prices')}", now_ms=now_ms)
    return len(wanted)


def bundled(now_ms: int) -> list[Price]:
    """List the prices of the bundled data that are in force at a moment, by model."""
    from genai_prices.data import providers  # noqa: PLC0415 - half a second, needed once in a station's life

    by_id = {provider.id: provider for provider in providers}
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    found: dict[str, Price] = {}
    for vendor in VENDORS:
        for model in by_id[vendor].models:
            rates = _rates(model, at)
            for name in _names(model) if rates else ():
                found.setdefault(name, msgspec.convert({"version": 0, "model": name, **rates}, Price))
    return [found[name] for name in sorted(found)]


def _rates(model: Any, at: datetime) -> dict[str, int]:
    rates: dict[str, int] = {}
    for prices in _in_force(model, at):
        for field, source in _RATES.items():
            usd = _dearest(getattr(prices, source))
            if usd is not None:
                rates[field] = max(rates.get(field, 0), _nano(usd))
        if prices.requests_kcount is not None:
            per_request = _nano(_dearest(prices.requests_kcount) / 1000)
            rates["per_request"] = max(rates.get("per_request", 0), per_request)
    return rates if any(rates.values()) else {}


def _in_force(model: Any, at: datetime) -> list[Any]:
    """List the prices that hold at some hour of the day: the newest by date, and all by time of day."""
    if not isinstance(model.prices, list):
        return [model.prices]
    by_date = [
        entry for entry in model.prices if not hasattr(entry.constraint, "start_time") and _active(entry.constraint, at)
    ]
    by_hour = [entry for entry in model.prices if hasattr(entry.constraint, "start_time")]
    return [entry.prices for entry in (*by_date[-1:], *by_hour)]


def _active(constraint: Any, at: datetime) -> bool:
    return constraint is None or bool(constraint.active(at))


def _dearest(price: Any) -> Any:
    tiers = getattr(price, "tiers", None)
    return price if tiers is None else max([price.base, *(tier.price for tier in tiers)])


def _nano(usd: Decimal) -> int:
    return int((usd * NANO_PER_USD).to_integral_value())


def _names(model: Any) -> list[str]:
    """List the names under which a model is asked for: its id, and the aliases the data spells out."""
    clauses = getattr(model.match, "or_", [model.match])
    aliases = [clause.equals for clause in clauses if hasattr(clause, "equals")]
    return [name for name in dict.fromkeys([model.id, *aliases]) if name.isprintable() and len(name) <= 255]
