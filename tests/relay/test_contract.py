"""The billing contract, row by row, with real bytes on real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.relay.doorway import PRICE, RawCaller, channel, gateway, relayed
from yizhan.purse.price import charge
from yizhan.purse.records import Closed
from yizhan.vendors.pretending.server import PretendServer


def priced(closed: Closed) -> int:
    return int(charge(closed.usage, price=PRICE, multiplier_ppm=1_000_000))


def events(text: str) -> list[Any]:
    frames = [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame.startswith("data: ")]
    return [frame if frame == "[DONE]" else json.loads(frame) for frame in frames]


async def test_an_answer_is_billed_by_what_its_upstream_reported(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        answer = await door.chat("pretend: tokens=12 cached=0")
        closed = (await door.closed())[0]
        usage = answer.json()["usage"]
        assert answer.status_code == 200
        assert (closed.usage.input_total, closed.usage.output_total) == (usage["prompt_tokens"], 12)
        assert closed.charge == priced(closed) > 0
        assert (closed.status, closed.estimated, closed.channel_id, closed.attempts) == ("ok", False, 1, 1)
        assert answer.headers["x-request-id"] == closed.request_id
        assert door.account.spent == closed.charge
        assert door.account.held == 0


async def test_a_stream_is_billed_the_same_and_hides_the_usage_nobody_asked_for(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        answer = await door.chat("pretend: tokens=12", stream=True)
        closed = (await door.closed())[0]
        seen = events(answer.text)
        assert seen[-1] == "[DONE]"
        assert all(event["choices"] for event in seen[:-1])
        assert closed.usage.output_total == 12
        assert (closed.status, closed.estimated) == ("ok", False)
        assert door.opened[0].stream


async def test_usage_that_was_asked_for_comes_home(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        answer = await door.chat("pretend: tokens=3", stream=True, stream_options={"include_usage": True})
        seen = events(answer.text)
        assert seen[-2]["choices"] == []
        assert seen[-2]["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_what_nobody_reported_is_counted_and_marked(tmp_path: Path, stream: bool) -> None:
    async with relayed(tmp_path) as (door, _):
        answer = await door.chat("pretend: tokens=40 usage=none", stream=stream)
        closed = (await door.closed())[0]
        assert answer.status_code == 200
        assert (closed.status, closed.estimated) == ("ok", True)
        assert closed.usage.input > 0
        assert 20 <= closed.usage.output <= 120
        assert closed.charge == priced(closed)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_after_the_upstream_has_it_pays_the_final_report(
    tmp_path: Path, stream: bool
) -> None:
    async with relayed(tmp_path) as (door, servers):
        caller = await RawCaller.call(door, "pretend: tokens=20 first_byte_ms=150 chunk_ms=5", stream=stream)
        await _has_it(servers[0])
        await caller.leave()
        closed = (await door.closed())[0]
        assert (closed.status, closed.estimated, closed.usage.output_total) == ("caller_left", False, 20)
        assert closed.charge == priced(closed)
        assert door.ports.drains == 0


async def test_a_caller_who_leaves_midway_pays_the_final_report(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        caller = await RawCaller.call(door, "pretend: tokens=30 chunk_ms=10", stream=True)
        await caller.reader.readuntil(b"data: ")
        await caller.leave()
        closed = (await door.closed())[0]
        assert (closed.status, closed.usage.output_total) == ("caller_left", 30)


async def test_a_drain_ends_at_its_bound_and_bills_what_was_delivered(tmp_path: Path) -> None:
    async with relayed(tmp_path, caller_drain_bytes=0) as (door, _):
        caller = await RawCaller.call(door, "pretend: tokens=90 chunk_ms=20", stream=True)
        await caller.reader.readuntil(b"data: ")
        await caller.leave()
        closed = (await door.closed())[0]
        assert (closed.status, closed.estimated) == ("caller_left", True)
        assert closed.usage.output < 60
        assert closed.usage.input > 0


async def test_a_drain_ends_in_time(tmp_path: Path) -> None:
    async with relayed(tmp_path, caller_drain_s=0.1) as (door, servers):
        caller = await RawCaller.call(door, "pretend: tokens=5 first_byte_ms=60000", stream=True)
        await _has_it(servers[0])
        await caller.leave()
        async with asyncio.timeout(5):
            while door.ports.exchanges:
                await asyncio.sleep(0.02)
        closed = (await door.closed())[0]
        assert (closed.status, closed.estimated, closed.usage.output) == ("caller_left", True, 0)


async def test_too_many_drains_are_not_begun(tmp_path: Path) -> None:
    async with relayed(tmp_path, caller_drains_max=0) as (door, servers):
        caller = await RawCaller.call(door, "pretend: tokens=5 first_byte_ms=60000", stream=True)
        await _has_it(servers[0])
        await caller.leave()
        closed = (await door.closed())[0]
        assert (closed.status, closed.estimated) == ("caller_left", True)


FAULTS_BEFORE = ["fault=reset", "status=500", "status=503", "status=429", "status=429 retry_after=7", "fault=garbage"]
FAULTS_BEFORE += ["fault=empty", "fault=not_json", "fault=error:0", "fault=reset_after:0", "status=401", "status=404"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS_BEFORE)
async def test_a_failure_before_the_first_byte_moves_on_and_costs_nothing(
    tmp_path: Path, fault: str, stream: bool
) -> None:
    async with relayed(tmp_path, upstreams=2) as (door, servers):
        async with _ordered(servers[0].url, fault):
            answer = await door.chat("pretend: tokens=5", stream=stream)
        closed = (await door.closed())[0]
        assert answer.status_code == 200
        assert (closed.status, closed.channel_id, closed.attempts) == ("ok", 2, 2)
        assert closed.usage.output_total == 5


STATUSES = {"status=429 retry_after=7": 429, "status=500": 502, "fault=reset": 502, "status=401": 502}
STATUSES |= {"fault=not_json": 502, "status=504": 504}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", STATUSES)
async def test_when_all_fail_the_caller_hears_why_and_pays_nothing(tmp_path: Path, fault: str, stream: bool) -> None:
    async with relayed(tmp_path, upstreams=2) as (door, servers):
        for server in servers:
            async with _ordered(server.url, fault):
                pass
        answer = await door.chat("hi", stream=stream)
        closed = (await door.closed())[0]
        error = answer.json()["error"]
        assert answer.status_code == STATUSES[fault]
        assert answer.headers.get("retry-after") == ("7" if "retry_after" in fault else None)
        assert error["code"].startswith("upstream_")
        assert "127.0.0.1" not in error["message"]
        assert (closed.status, closed.charge, closed.attempts) == ("upstream_failed", 0, 2)
        assert door.account.held == 0


@pytest.mark.parametrize("fault", ["reset_after:4", "cut:4", "truncate:4", "error:4"])
async def test_a_stream_that_breaks_ends_in_one_error_event_and_costs_what_was_delivered(
    tmp_path: Path, fault: str
) -> None:
    async with relayed(tmp_path, upstreams=2) as (door, servers):
        answer = await door.chat(f"pretend: tokens=50 chunk_ms=2 fault={fault}", stream=True)
        closed = (await door.closed())[0]
        seen = events(answer.text)
        assert "[DONE]" not in seen
        assert [event for event in seen if "error" in event] == [seen[-1]]
        assert (closed.status, closed.estimated, closed.attempts) == ("upstream_truncated", True, 1)
        assert 0 < closed.usage.output < 25
        assert servers[1].count.total.started == 0


async def test_a_truncated_plain_answer_is_tried_elsewhere(tmp_path: Path) -> None:
    async with relayed(tmp_path, upstreams=2) as (door, servers):
        async with _ordered(servers[0].url, "fault=truncate:1"):
            answer = await door.chat("pretend: tokens=9")
        assert answer.status_code == 200
        assert (await door.closed())[0].channel_id == 2


async def test_what_an_upstream_reports_beyond_the_hold_is_charged_and_flagged(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        await door.chat("pretend: tokens=50 prompt_tokens=900000")
        closed = (await door.closed())[0]
        assert closed.over_hold
        assert closed.charge == priced(closed) > door.opened[0].hold


async def test_a_long_stream_journals_its_progress(tmp_path: Path) -> None:
    async with relayed(tmp_path, progress_s=0.05) as (door, _):
        await door.chat("pretend: tokens=40 chunk_ms=10", stream=True)
        await door.closed()
        charges = [each.charge for each in door.progressed]
        assert len(charges) >= 2
        assert charges == sorted(charges)
        assert door.progressed[0].channel_id == 1


async def test_a_refusal_of_the_request_itself_is_final_and_free(tmp_path: Path) -> None:
    async with relayed(tmp_path, upstreams=2) as (door, servers):
        async with _ordered(servers[0].url, "status=400"):
            answer = await door.chat("hi")
        closed = (await door.closed())[0]
        assert answer.status_code == 400
        assert answer.json()["error"]["message"]
        assert (closed.charge, closed.attempts, closed.http_status) == (0, 1, 400)
        assert servers[1].count.total.started == 0


async def _has_it(server: PretendServer) -> None:
    """Wait until the vendor has a request."""
    async with asyncio.timeout(5):
        while not server.count.total.started:
            await asyncio.sleep(0.005)


async def test_a_caller_who_leaves_before_the_upstream_has_it_pays_nothing(tmp_path: Path) -> None:
    async with _silent_proxy() as proxy, gateway(tmp_path, channel(1, "https://u.example/v1", proxy=proxy)) as door:
        caller = await RawCaller.call(door, "hi", stream=True)
        async with asyncio.timeout(5):
            while not door.opened:
                await asyncio.sleep(0.005)
        await caller.leave()
        closed = (await door.closed())[0]
        assert (closed.status, closed.charge, closed.usage.input_total) == ("caller_left", 0, 0)


async def test_a_caller_who_leaves_while_money_is_asked_for_costs_nothing_and_starts_nothing(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, servers):
        asked, gone = asyncio.Event(), asyncio.Event()
        borrow = door.office.borrow

        async def slowly(**question: Any) -> Any:
            asked.set()
            await gone.wait()
            return await borrow(**question)

        door.office.borrow = slowly  # type: ignore[method-assign]  # the twin's own door, held shut
        door.ports.drains = 1  # somebody else's
        caller = await RawCaller.call(door, "hi", stream=True)
        await asked.wait()
        await caller.leave()
        async with asyncio.timeout(5):
            while door.server.connections:
                await asyncio.sleep(0.005)
        gone.set()
        closed = (await door.closed())[0]
        assert (closed.status, closed.charge, closed.attempts) == ("caller_left", 0, 0)
        assert servers[0].count.total.started == 0
        assert (door.ports.drains, door.account.held) == (1, 0)


@asynccontextmanager
async def _silent_proxy() -> AsyncIterator[str]:
    """Accept, and never say that the tunnel is open: an attempt stays where nothing was sent yet."""
    ended = asyncio.Event()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ended.set()


class _ordered:  # noqa: N801 - reads as a verb
    """Order one behaviour for the next request of a vendor."""

    def __init__(self, url: str, options: str) -> None:
        self._url = url
        self._options = options

    async def __aenter__(self) -> None:
        import httpx

        async with httpx.AsyncClient() as http:
            (await http.post(f"{self._url}/_pretend/script", json={"queue": [self._options]})).raise_for_status()

    async def __aexit__(self, *_: object) -> None:
        return
