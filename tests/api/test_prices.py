from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.api.conftest import Desk

from yizhan.catalog.entries import Price
from yizhan.prices import seed
from yizhan.store import catalog

NOW_MS = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)


def _in_force(desk: Desk, model: str) -> Price | None:
    with desk.database.read() as connection:
        return catalog.price_in_force(connection, model=model)


def test_a_price_in_usd_becomes_nano_usd_exactly(desk: Desk) -> None:
    body = {"usd_per_mtok": {"input": "0.15", "output": "0.60", "cached_input": "0.075"}, "usd_per_request": "0.001"}
    shown = desk.done("PUT", "/prices/org/m", body)
    price = _in_force(desk, "org/m")
    assert price is not None
    assert (price.input, price.output, price.cached_input) == (150_000_000, 600_000_000, 75_000_000)
    assert (price.per_request, price.version) == (1_000_000, shown["version"])
    assert shown["usd_per_mtok"] == {"input": "0.15", "output": "0.6", "cached_input": "0.075"}


def test_a_new_price_is_a_new_version_and_the_old_one_stays(desk: Desk) -> None:
    first = desk.done("PUT", "/prices/m", {"usd_per_request": "1"})
    second = desk.done("PUT", "/prices/m", {"usd_per_request": "2"})
    shown = desk.done("GET", "/prices/m")
    assert shown["current"] == second
    assert shown["versions"] == [second, first]
    assert [price["usd_per_request"] for price in desk.done("GET", "/prices")["data"]] == ["2"]


def test_a_withdrawn_model_is_not_sold_and_can_come_back(desk: Desk) -> None:
    desk.done("PUT", "/prices/m", {"usd_per_request": "1"})
    desk.done("DELETE", "/prices/m")
    assert _in_force(desk, "m") is None
    assert desk.done("GET", "/prices")["data"] == []
    assert desk.done("GET", "/prices/m")["current"] is None
    desk.done("PUT", "/prices/m", {"free": True})
    price = _in_force(desk, "m")
    assert price is not None
    assert price.free


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"usd_per_mtok": {"input": "-1"}},
        {"usd_per_mtok": {"input": "0.0000000001"}},
        {"usd_per_mtok": {"input": "lots"}},
        {"usd_per_mtok": {"input": "NaN"}},
        {"usd_per_mtok": {"input": "1e30"}},
        {"usd_per_mtok": {"input": 0.15}},
        {"usd_per_mtok": {"colour": "1"}},
        {"usd_per_mtok": {"input": "1"}, "free": True},
        {"usd_per_mtok": {"input": "0"}},
    ],
)
def test_a_price_that_is_none_is_refused(desk: Desk, body: object) -> None:
    assert desk.ask("PUT", "/prices/m", body).status_code == 400
    assert desk.ask("GET", "/prices/m").status_code == 404


def test_a_group_and_a_model_reach_the_catalog(desk: Desk) -> None:
    desk.done("PUT", "/groups/gold", {"multiplier_ppm": 900_000})
    desk.done("PUT", "/groups/gold", {"multiplier_ppm": 800_000})
    desk.done("PUT", "/models/org/m", {"context_tokens": 1000})
    desk.done("PUT", "/models/org/m", {"output_tokens_max": 10})
    with desk.database.read() as connection:
        snapshot = catalog.snapshot(connection, desk.seal.unseal)
    assert snapshot.groups["gold"].multiplier_ppm == 800_000
    assert (snapshot.models["org/m"].context_tokens, snapshot.models["org/m"].output_tokens_max) == (1000, 10)
    assert {group["name"] for group in desk.done("GET", "/groups")["data"]} == {"default", "gold"}
    assert desk.done("GET", "/models")["data"][0]["name"] == "org/m"


def test_users_may_read_prices(desk: Desk) -> None:
    token = desk.person("alice")
    desk.done("PUT", "/prices/m", {"usd_per_request": "1"})
    assert desk.done("GET", "/prices/m", token=token)["model"] == "m"


def test_an_empty_book_is_seeded_once(desk: Desk) -> None:
    with desk.database.write() as connection:
        count = seed.seed(connection, now_ms=NOW_MS)
        assert seed.seed(connection, now_ms=NOW_MS) == 0
    assert count > 300
    price = _in_force(desk, "gpt-4o")
    assert price is not None
    assert (price.input, price.cached_input, price.output) == (2_500_000_000, 1_250_000_000, 10_000_000_000)
    shown = desk.done("GET", "/prices/gpt-4o")["current"]
    assert shown["source"].startswith("genai-prices==")


def test_an_operators_price_keeps_the_book_from_being_seeded_over(desk: Desk) -> None:
    desk.done("PUT", "/prices/gpt-4o", {"usd_per_request": "1"})
    with desk.database.write() as connection:
        assert seed.seed(connection, now_ms=NOW_MS) == 0
    assert len(desk.done("GET", "/prices/gpt-4o")["versions"]) == 1


def test_the_bundled_prices_take_the_dearest_tier() -> None:
    from genai_prices.data import providers

    book = {price.model: price for price in seed.bundled(NOW_MS)}
    google = next(provider for provider in providers if provider.id == "google")
    model = next(model for model in google.models if model.id == "gemini-2.5-pro")
    tiers = model.prices.input_mtok  # type: ignore[union-attr]
    assert book["gemini-2.5-pro"].input == int(max(tier.price for tier in tiers.tiers) * 1_000_000_000)  # type: ignore[union-attr]
    assert all(price.input or price.output or price.per_request for price in book.values())
