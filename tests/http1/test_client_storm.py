from __future__ import annotations

import asyncio
import random

import pytest
from tests.http1.client_scene import Script, calling, get, hear, run, serving

from yizhan.http1.client import Client, Origin, Timeouts
from yizhan.http1.message import NoAnswer, TooSlow, Truncated

WAYS = [
    "length",
    "length",
    "length",
    "chunked",
    "slow",
    "close",
    "extra",
    "none",
    "short",
    "garbage",
    "late close",
    "hang",
]
IMPATIENT = Timeouts(connect_s=2, first_byte_s=0.3, idle_s=0.3, total_s=3)


def _moody(dice: random.Random) -> Script:
    """A server that answers with the request's own name, in every way and at every pace."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            name = (await hear(reader)).body
            way = dice.choice(WAYS)
            full = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(name), name)
            if way in {"length", "late close", "extra"}:
                writer.write(full + (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad" if way == "extra" else b""))
            elif way in {"chunked", "slow"}:
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                for byte in name:
                    writer.write(b"1\r\n%c\r\n" % byte)
                    await asyncio.sleep(0.002 if way == "slow" else 0)
                writer.write(b"0\r\n\r\n")
            elif way == "hang":
                await asyncio.Event().wait()
            else:
                cut = {"close": b"HTTP/1.1 200 OK\r\n\r\n" + name, "short": full[:-1], "garbage": b"\x15\x03\r\n\r\n"}
                writer.write(cut.get(way, b""))
            if way in {"close", "none", "short", "late close"}:
                return

    return script


async def _ask(client: Client, origin: Origin, name: bytes, outcomes: list[str]) -> None:
    try:
        answer = await get(client, origin, body=name, timeouts=IMPATIENT)
        assert await answer.read(100) == name, "an answer went to another's request"
        outcomes.append("whole")
    except (NoAnswer, Truncated, TooSlow) as failure:
        outcomes.append(type(failure).__name__)


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_of_failures_and_cancellations_mixes_up_no_answers_and_loses_no_room(seed: int) -> None:
    async def story() -> None:
        dice = random.Random(seed)
        outcomes: list[str] = []
        async with serving(_moody(dice)) as origin, calling(origin_max=12, idle_max=6) as client:
            tasks = []
            for number in range(300):
                task = asyncio.ensure_future(_ask(client, origin, b"request-%d" % number, outcomes))
                tasks.append(task)
                if dice.random() < 0.2:
                    asyncio.get_running_loop().call_later(dice.random() / 4, task.cancel)
                if dice.random() < 0.3:
                    await asyncio.sleep(dice.random() / 100)
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert result is None or isinstance(result, asyncio.CancelledError), result
            assert {"whole", "Truncated", "TooSlow"} <= set(outcomes)
            assert client.connections == client.idle <= 6
            stable = client._pool.stable((origin, None, None))
            assert (stable.open, len(stable.waiters)) == (client.connections, 0)

    run(story())
