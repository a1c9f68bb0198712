"""Many callers at once against one wallet: never a nano-USD too much, never one too little."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from openai import AsyncOpenAI
from tests.acceptance.calling import Heard, call, chat
from tests.acceptance.prices import PER_REQUEST, fair, total
from tests.acceptance.station import NANO_PER_USD, Station
from tests.acceptance.upstream import Upstream


async def rush(station: Station, key: str, body: bytes, count: int) -> list[Heard]:
    """Send the same request many times at once, each on a connection of its own."""
    return await asyncio.gather(*(call(station.port, key, body, seconds=60) for _ in range(count)))


def refusals(heard: list[Heard]) -> Counter[str]:
    return Counter(each.code for each in heard if each.status != 200)


def test_fifty_concurrent_callers_are_billed_for_every_answer(station: Station) -> None:
    key = station.add_user("fifty", usd="5")
    reported: list[int] = []

    async def caller(client: AsyncOpenAI, number: int) -> None:
        for turn in range(4):
            chunks = [
                chunk
                async for chunk in await client.chat.completions.create(
                    model="pretend",
                    messages=[{"role": "user", "content": f"pretend: tokens={5 + number % 7} chunk_ms={turn}"}],
                    stream=True,
                    stream_options={"include_usage": True},
                )
            ]
            assert chunks[-1].usage is not None
            reported.append(chunks[-1].usage.completion_tokens)

    async def all_callers() -> None:
        async with AsyncOpenAI(base_url=f"{station.url}/v1", api_key=key, max_retries=0, timeout=60) as client:
            await asyncio.gather(*(caller(client, number) for number in range(50)))

    asyncio.run(all_callers())
    rows = station.booked("fifty", 200)
    assert sorted(row["output_tokens"] for row in rows) == sorted(reported)
    assert all(fair(row) for row in rows)
    assert station.balance("fifty") == 5 * NANO_PER_USD - total(rows)
    station.verify()


@pytest.mark.parametrize("stream", [False, True])
def test_money_for_twenty_requests_buys_exactly_twenty_of_two_hundred(station: Station, stream: bool) -> None:
    name = f"twenty-{stream}".lower()
    key = station.add_user(name, usd="0.020")
    heard = asyncio.run(rush(station, key, chat("pretend-large", "pretend: chunk_ms=1", stream=stream), 200))
    assert Counter(each.status for each in heard) == {200: 20, 402: 180}
    assert refusals(heard) == {"insufficient_quota": 180}
    rows = station.booked(name, 20)
    assert {int(row["charge_nano_usd"]) for row in rows} == {PER_REQUEST}
    assert station.balance(name) == 0
    station.verify()


def test_money_buys_tokens_as_far_as_it_goes_and_never_further(station: Station, upstream: Upstream) -> None:
    key = station.add_user("tokens", usd="0.0005")
    body = chat("pretend", "pretend: tokens=64 chunk_ms=1", stream=True, max_tokens=64)
    heard = asyncio.run(rush(station, key, body, 200))
    served = [each for each in heard if each.status == 200]
    assert all(each.done for each in served)
    assert set(refusals(heard)) == {"insufficient_quota"}
    rows = station.booked("tokens", len(served))
    assert all(fair(row) for row in rows)
    assert 0 <= station.balance("tokens") == 500_000 - total(rows)
    assert len(served) >= 2  # one hold is about a twelfth of the money
    station.verify()


def test_money_that_comes_in_opens_the_door_again(station: Station) -> None:
    key = station.add_user("refilled", usd="0.001")
    body = chat("pretend-large")
    assert [each.status for each in asyncio.run(rush(station, key, body, 1))] == [200]
    assert [each.status for each in asyncio.run(rush(station, key, body, 4))] == [402] * 4
    station.rows("topup", "refilled", "--usd", "0.002")

    async def second_wave() -> list[int]:
        async with asyncio.timeout(1):  # a change is in force on every worker within one second
            while (await call(station.port, key, body)).status == 402:
                await asyncio.sleep(0.02)
        return [each.status for each in await rush(station, key, body, 4)]

    assert sorted(asyncio.run(second_wave())) == [200, 402, 402, 402]
    station.booked("refilled", 3)
    assert station.balance("refilled") == 0
