from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.http1.client_scene import OK, Script, answering, calling, get, hear, run, serving, until

from yizhan.http1.client import Origin, Timeouts
from yizhan.http1.message import ConnectFailed, TooSlow

HASTY = Timeouts(connect_s=0.1, first_byte_s=0.1, idle_s=0.1, total_s=5)
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    await asyncio.Event().wait()


def _dripping(first: bytes, drop: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hear(reader)
        writer.write(first)
        while True:
            await asyncio.sleep(0.03)
            writer.write(drop)
            await writer.drain()

    return script


def test_an_upstream_that_says_nothing_is_given_up() -> None:
    async def story() -> None:
        async with serving(_silent) as origin, calling() as client:
            with pytest.raises(TooSlow) as caught:
                await get(client, origin, timeouts=HASTY)
            assert caught.value.phase == "first_byte"
            assert client.connections == 0

    run(story())


def test_a_head_that_drips_is_given_up_at_the_first_byte_deadline() -> None:
    async def story() -> None:
        async with serving(_dripping(b"HTTP/1.1 200 OK\r\nx: ", b"y")) as origin, calling() as client:
            with pytest.raises(TooSlow) as caught:
                await get(client, origin, timeouts=HASTY)
            assert caught.value.phase == "first_byte"

    run(story())


def test_a_body_that_stops_is_given_up_at_the_idle_deadline() -> None:
    async def story() -> None:
        async with serving(answering(CHUNKED + b"1\r\na\r\n")) as origin, calling() as client:
            answer = await get(client, origin, timeouts=HASTY)
            got: list[bytes] = []
            with pytest.raises(TooSlow) as caught:
                await answer.pipe(got.append)
            assert (caught.value.phase, got) == ("idle", [b"a"])
            assert client.connections == 0

    run(story())


def test_a_body_that_drips_lives_until_the_total_deadline() -> None:
    async def story() -> None:
        async with serving(_dripping(CHUNKED, b"1\r\na\r\n")) as origin, calling() as client:
            timeouts = Timeouts(connect_s=1, first_byte_s=1, idle_s=0.2, total_s=0.6)
            answer = await get(client, origin, timeouts=timeouts)
            got: list[bytes] = []
            with pytest.raises(TooSlow) as caught:
                await answer.pipe(got.append)
            assert caught.value.phase == "total"
            assert len(got) > 5

    run(story())


def test_the_idle_clock_stands_while_the_consumer_has_paused_us() -> None:
    async def story() -> None:
        go = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            writer.write(CHUNKED + b"1\r\na\r\n")
            await go.wait()
            writer.write(b"1\r\nb\r\n0\r\n\r\n")
            await reader.read()

        async with serving(script) as origin, calling() as client:
            answer = await get(client, origin, timeouts=HASTY)
            answer.pause()
            loop = asyncio.get_running_loop()
            until_then = loop.time() + 3 * HASTY.idle_s
            await until(lambda: loop.time() > until_then)
            go.set()
            answer.resume()
            assert await answer.read(10) == b"ab"

    run(story())


def test_a_slow_source_of_an_upload_is_not_held_against_the_upstream() -> None:
    async def story() -> None:
        async def slow() -> AsyncIterator[bytes]:
            for _ in range(3):
                await asyncio.sleep(0.15)
                yield b"x"

        async with serving(answering(OK)) as origin, calling() as client:
            answer = await get(client, origin, body=slow(), timeouts=HASTY)
            assert await answer.read(10) == b"ok"

    run(story())


def test_a_full_pool_makes_requests_wait_up_to_the_connect_deadline() -> None:
    async def story() -> None:
        async with serving(_silent) as origin, calling(origin_max=1) as client:
            holding = asyncio.ensure_future(get(client, origin))
            await until(lambda: client.connections)
            with pytest.raises(TooSlow) as caught:
                await get(client, origin, timeouts=HASTY)
            assert caught.value.phase == "connect"
            holding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await holding

    run(story())


def test_waiting_requests_get_the_connections_that_come_free() -> None:
    async def story() -> None:
        async with serving(answering(OK)) as origin, calling(origin_max=2) as client:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(get(client, origin)) for _ in range(50)]
            assert {await task.result().read(2) for task in tasks} == {b"ok"}
            assert client.connections <= 2

    run(story())


def test_waiting_requests_get_the_room_of_connections_that_close() -> None:
    async def story() -> None:
        async with serving(answering(OK, then_close=True)) as origin, calling(origin_max=1) as client:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(get(client, origin)) for _ in range(10)]
            assert {await task.result().read(2) for task in tasks} == {b"ok"}

    run(story())


def test_cancelled_waiters_lose_no_connection() -> None:
    async def story() -> None:
        go = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await hear(reader)
                await go.wait()
                writer.write(OK)

        async with serving(script) as origin, calling(origin_max=1) as client:
            first = asyncio.ensure_future(get(client, origin))
            others = [asyncio.ensure_future(get(client, origin)) for _ in range(4)]
            await until(lambda: client.connections)
            go.set()
            await first
            for waiting in others[:3]:
                waiting.cancel()  # the first of them may just have been given the connection
            assert await (await others[3]).read(2) == b"ok"
            await asyncio.gather(*others, return_exceptions=True)
            assert client.connections == 1

    run(story())


def test_waiters_are_bounded() -> None:
    async def story() -> None:
        async with serving(_silent) as origin, calling(origin_max=1, waiters_max=1) as client:
            two = [asyncio.ensure_future(get(client, origin)) for _ in range(2)]
            await until(lambda: client.connections)
            with pytest.raises(ConnectFailed):
                await get(client, origin)
            for task in two:
                task.cancel()
            await asyncio.gather(*two, return_exceptions=True)

    run(story())


def test_idle_connections_are_capped_over_all_origins_and_expire() -> None:
    async def story() -> None:
        keeping = calling(idle_max=3, idle_s=0.3)
        async with serving(answering(OK)) as one, serving(answering(OK)) as two, keeping as client:
            for origin in (one, two):
                await asyncio.gather(*(get(client, origin) for _ in range(3)))
            assert (client.idle, client.connections) == (3, 3)
            await until(lambda: client.connections == 0)

    run(story())


def test_an_idle_connection_the_upstream_closes_is_dropped_at_once() -> None:
    async def story() -> None:
        async with serving(answering(OK, then_close=True)) as origin, calling() as client:
            await get(client, origin)
            await until(lambda: client.connections == 0)

    run(story())


def test_closing_the_client_ends_what_runs() -> None:
    async def story() -> None:
        async with serving(_silent) as origin, calling() as client:
            running = asyncio.ensure_future(get(client, origin))
            await until(lambda: client.connections)
            await client.close()
            with pytest.raises(Exception, match="closing"):
                await running

    run(story())


def test_nobody_there_is_a_failed_connection() -> None:
    async def story() -> None:
        async with serving(_silent) as origin:
            pass
        async with calling() as client:
            for gone in (origin, Origin("unix", "/nonexistent/socket")):
                with pytest.raises(ConnectFailed):
                    await get(client, gone)

    run(story())
