"""What the caller sees and what it costs when an upstream fails: the billing contract, line by line."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.acceptance.calling import Heard, call, chat
from tests.acceptance.prices import fair, token_price
from tests.acceptance.station import Row, Station, channel_words, price_words
from tests.acceptance.upstream import Upstream

BEFORE_A_STREAM = {
    "reset": "fault=reset",
    "reset-headers": "fault=reset_after:0",
    "cut-headers": "fault=cut:0",
    "s500": "status=500",
    "s503": "status=503",
    "s429": "status=429",
    "s429-after": "status=429 retry_after=2",
    "garbage": "fault=garbage",
    "empty": "fault=empty",
    "page": "fault=not_json",
    "opens-with-error": "fault=error:0",
    "ends-at-once": "fault=truncate:0",
    "silent": "fault=stall:0",
}
IN_A_PLAIN_ANSWER = {
    "cut": "fault=cut",
    "half": "fault=reset_after",
    "error-in-200": "fault=error",
}
AFTER_THE_FIRST_BYTE = {
    "reset-midway": "fault=reset_after:9 tokens=400",
    "cut-midway": "fault=cut:9 tokens=400",
    "truncated": "fault=truncate:9 tokens=400",
    "error-midway": "fault=error:9 tokens=400",
    "stalls": "fault=stall:9 tokens=400",
}
OTHERS = {"alone": "status=500", "alone-busy": "status=429 retry_after=2", "s400": "status=400", "long": ""}
ORDERS = {**BEFORE_A_STREAM, **IN_A_PLAIN_ANSWER, **AFTER_THE_FIRST_BYTE, **OTHERS}
BUSY = ("s429", "s429-after", "alone-busy")  # a channel is left alone after a 429, so each has its own


@pytest.fixture(scope="module")
def key(station: Station, upstream: Upstream, spare: Upstream) -> str:
    """A user with money; behind every model a bad channel, and but for two a good one of lower priority."""
    models = ("faulty", "alone", *BUSY)
    alone = ("alone", "alone-busy")
    station.rows_of(
        [
            channel_words("bad", base_url=upstream.base_url, models="faulty,alone", priority=10),
            *(channel_words(f"bad-{busy}", base_url=upstream.base_url, models=busy, priority=10) for busy in BUSY),
            channel_words("good", base_url=spare.base_url, models=",".join(set(models) - set(alone))),
            *(price_words(model) for model in models),
        ]
    )
    return station.add_user("outcomes", usd="10")


def model_for(upstream: Upstream, case: str) -> str:
    """Order the upstream to behave as the case wants, and name the model to ask for."""
    model = case if case in (*BUSY, "alone") else "faulty"
    upstream.order(models={model: ORDERS[case]})
    return model


@pytest.fixture
def rows_before(station: Station, key: str) -> int:
    return len(station.usage("outcomes"))


def ask(station: Station, key: str, upstream: Upstream, case: str, marker: str, **fields: Any) -> Heard:
    model = model_for(upstream, case)
    return asyncio.run(call(station.port, key, chat(model, f"pretend: id={marker}", **fields), marker=marker))


def booked(station: Station, marker: str, rows_before: int) -> Row:
    rows = station.booked("outcomes", rows_before + 1)
    (row,) = [row for row in rows if row["client_request_id"] == marker]
    return row


@pytest.mark.parametrize("case", BEFORE_A_STREAM)
def test_a_failure_before_the_first_byte_is_not_seen_by_a_streaming_caller(
    *, station: Station, upstream: Upstream, spare: Upstream, key: str, rows_before: int, case: str
) -> None:
    marker = f"before-{case}"
    heard = ask(station, key, upstream, case, marker, stream=True)
    assert (heard.status, heard.done, heard.whole) == (200, True, True)
    assert len(heard.text().split()) == 16
    first, second = upstream.seen(marker), spare.seen(marker)
    assert first is not None
    assert second is not None
    # A kept connection that closes without a byte may have been stale: there the request is sent once more.
    assert first["started"] in ({1, 2} if case == "reset" else {1})
    assert (second["started"], second["finished"]) == (1, 1)
    row = booked(station, marker, rows_before)
    assert (row["channel"], row["status"]) == ("good", "ok")
    assert (row["input_tokens"], row["output_tokens"]) == (second["prompt_tokens"], second["completion_tokens"])
    assert fair(row)


@pytest.mark.parametrize("case", ["reset", "s500", "s503", "garbage", "empty", "page", *IN_A_PLAIN_ANSWER])
def test_a_failure_in_a_plain_answer_is_not_seen_by_the_caller(
    *, station: Station, upstream: Upstream, spare: Upstream, key: str, rows_before: int, case: str
) -> None:
    marker = f"plain-{case}"
    heard = ask(station, key, upstream, case, marker)
    assert heard.status == 200
    assert len(heard.json()["choices"][0]["message"]["content"].split()) == 16
    second = spare.seen(marker)
    assert upstream.seen(marker) is not None
    assert second is not None
    row = booked(station, marker, rows_before)
    assert (row["channel"], row["status"], row["output_tokens"]) == ("good", "ok", second["completion_tokens"])
    assert fair(row)


@pytest.mark.parametrize("case", AFTER_THE_FIRST_BYTE)
def test_a_failure_midway_is_one_error_event_and_a_bill_for_what_came(
    *, station: Station, upstream: Upstream, spare: Upstream, key: str, rows_before: int, case: str
) -> None:
    marker = f"midway-{case}"
    heard = ask(station, key, upstream, case, marker, stream=True)
    assert (heard.status, heard.done) == (200, False)
    assert len(heard.text().split()) == 8  # nine frames, the first of which has the role only
    errors = [chunk for chunk in heard.chunks() if "error" in chunk]
    assert errors == heard.chunks()[-1:]
    assert set(errors[0]["error"]) >= {"message", "type", "code"}
    assert spare.seen(marker) is None
    row = booked(station, marker, rows_before)
    assert row["status"] in ("upstream_truncated", "upstream_failed")
    assert row["estimated"] is True
    assert 1 <= row["output_tokens"] <= 60
    assert row["input_tokens"] >= 1
    assert fair(row)


def test_the_sdk_raises_when_a_stream_breaks_midway(station: Station, upstream: Upstream, key: str) -> None:
    pieces: list[str] = []
    with OpenAI(base_url=f"{station.url}/v1", api_key=key, max_retries=0, timeout=20) as client:
        stream = client.chat.completions.create(
            model=model_for(upstream, "truncated"), messages=[{"role": "user", "content": "Go on."}], stream=True
        )

        def listen() -> None:
            for chunk in stream:
                pieces.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - keeps what came before the error

        with pytest.raises(openai.APIError):
            listen()
    assert len("".join(pieces).split()) == 8


def test_when_every_channel_fails_the_error_is_clear_and_free(
    station: Station, upstream: Upstream, key: str, rows_before: int
) -> None:
    before = station.balance("outcomes")
    heard = ask(station, key, upstream, "alone", "alone", stream=True)
    assert (heard.status, heard.code) == (502, "upstream_failed")
    assert heard.headers["x-request-id"]
    seen = upstream.seen("alone")
    assert seen is not None
    assert seen["started"] == 1  # a tried channel is not tried again
    row = booked(station, "alone", rows_before)
    assert (row["status"], row["charge_nano_usd"]) == ("upstream_failed", 0)
    assert station.balance("outcomes") == before


def test_when_every_channel_is_busy_the_caller_is_told_to_come_back(
    station: Station, upstream: Upstream, key: str
) -> None:
    heard = ask(station, key, upstream, "alone-busy", "alone-busy")
    assert heard.status in (429, 502, 503)
    assert heard.json()["error"]["code"]
    assert heard.headers.get("retry-after", "2") == "2"


def test_the_callers_own_mistake_is_relayed_and_not_tried_elsewhere(
    station: Station, upstream: Upstream, spare: Upstream, key: str
) -> None:
    before = station.balance("outcomes")
    heard = ask(station, key, upstream, "s400", "mistake", stream=True)
    assert heard.status == 400
    assert heard.json()["error"]["message"]
    assert spare.seen("mistake") is None
    assert station.balance("outcomes") == before


def leave_after(
    station: Station, key: str, upstream: Upstream, marker: str, options: str, *, words: int | None, stream: bool
) -> Heard:
    """Ask, and leave once so many words came; None is as soon as the upstream has the request."""
    body = chat(model_for(upstream, "long"), f"pretend: id={marker} {options}", stream=stream)

    def enough(heard: Heard) -> bool:
        return words is not None and heard.status == 200 and len(heard.text().split()) >= words

    seconds = 1.0 if words is None else 20.0
    return asyncio.run(call(station.port, key, body, marker=marker, leave=enough, seconds=seconds))


def test_a_caller_who_leaves_midway_pays_what_the_vendor_reports(
    station: Station, upstream: Upstream, key: str, rows_before: int
) -> None:
    heard = leave_after(station, key, upstream, "left-midway", "tokens=60 chunk_ms=20", words=5, stream=True)
    assert not heard.done
    row = booked(station, "left-midway", rows_before)
    seen = upstream.seen("left-midway")
    assert seen is not None
    assert (seen["finished"], seen["abandoned"]) == (1, 0)  # drained for the final report
    assert (row["status"], row["estimated"]) == ("caller_left", False)
    assert (row["input_tokens"], row["output_tokens"]) == (seen["prompt_tokens"], 60)
    assert fair(row)


def test_a_caller_who_leaves_a_long_answer_pays_for_what_was_delivered(
    station: Station, upstream: Upstream, key: str, rows_before: int
) -> None:
    leave_after(station, key, upstream, "left-long", "tokens=3000 chunk_ms=10", words=5, stream=True)
    row = booked(station, "left-long", rows_before)
    seen = upstream.seen("left-long")
    assert seen is not None
    assert (seen["finished"], seen["abandoned"]) == (0, 1)  # the bound of three seconds was hit
    assert (row["status"], row["estimated"]) == ("caller_left", True)
    assert 0 < row["charge_nano_usd"] < token_price(input_tokens=seen["prompt_tokens"], output_tokens=3000)


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_leaves_before_the_first_byte_pays_what_the_vendor_reports_or_nothing(
    station: Station, upstream: Upstream, key: str, rows_before: int, stream: bool
) -> None:
    marker = f"left-early-{stream}".lower()
    heard = leave_after(station, key, upstream, marker, "first_byte_ms=1500 tokens=30", words=None, stream=stream)
    assert heard.status == 0
    row = booked(station, marker, rows_before)
    seen = upstream.seen(marker)
    assert seen is not None
    assert row["status"] == "caller_left"
    full = token_price(input_tokens=seen["prompt_tokens"], output_tokens=30)
    assert row["charge_nano_usd"] == (full if seen["finished"] else 0)


def test_the_books_are_clean_after_all_this(station: Station, key: str) -> None:
    station.verify()
    shown = station.one("user", "show", "outcomes")
    spent = sum(int(row["charge_nano_usd"]) for row in station.usage("outcomes"))
    assert shown["balance_nano_usd"] == 10_000_000_000 - spent
