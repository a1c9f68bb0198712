"""Every bound of the server, and what is said when one is reached."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
from tests.http1.server_stage import QUICK, echo, run, serving, until

from yizhan.http1.message import Limits
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request
from yizhan.http1.server import ServerSettings

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def _quick(**changes: float) -> ServerSettings:
    return msgspec.structs.replace(QUICK, **changes)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n\r"])
def test_a_head_that_does_not_end_in_time_gets_408(head: bytes) -> None:
    async def story() -> None:
        async with serving(settings=_quick(header_timeout_s=0.1)) as stage:
            wire = await stage.call()
            begun = time.monotonic()
            wire.send(head)
            answer = await wire.answer()
            assert (answer.status, answer.headers[b"connection"]) == (408, b"close")
            assert await wire.rest() == b""
            assert 0.09 < time.monotonic() - begun < 1

    run(story())


def test_dripping_a_head_does_not_put_its_deadline_off() -> None:
    async def story() -> None:
        async with serving(settings=_quick(header_timeout_s=0.2)) as stage:
            wire = await stage.call()

            async def drip() -> None:
                wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
                while True:
                    wire.send(b"x")
                    await asyncio.sleep(0.01)

            dripping = asyncio.create_task(drip())
            assert (await wire.answer()).status == 408
            dripping.cancel()

    run(story())


def test_empty_lines_do_not_put_the_deadline_off() -> None:
    async def story() -> None:
        async with serving(settings=_quick(header_timeout_s=0.2)) as stage:
            wire = await stage.call()

            async def drip() -> None:
                while True:
                    wire.send(b"\r\n")
                    await asyncio.sleep(0.01)

            dripping = asyncio.create_task(drip())
            await until(lambda: stage.server.connections == 1)
            await until(lambda: stage.server.connections == 0)
            dripping.cancel()

    run(story())


def test_a_silent_body_gets_408_and_a_dripping_one_does_not() -> None:
    async def story() -> None:
        async with serving(settings=_quick(body_timeout_s=0.15)) as stage:
            wire = await stage.call()
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
            for _ in range(20):
                wire.send(b"x")
                await asyncio.sleep(0.02)
            assert (await wire.answer()).status == 200
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nx")
            assert (await wire.answer()).status == 408

    run(story())


def test_an_idle_connection_is_closed_without_a_word() -> None:
    async def story() -> None:
        async with serving(settings=_quick(keepalive_s=0.1, header_timeout_s=0.1)) as stage:
            fresh, used = await stage.call(), await stage.call()
            used.send(GET)
            assert (await used.answer()).status == 200
            assert await fresh.rest() == b""
            assert await used.rest() == b""

    run(story())


def test_a_long_answer_is_not_an_idle_connection() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        await asyncio.sleep(0.3)
        reply.send(200, [], b"late")

    async def story() -> None:
        async with serving(
            handler, settings=_quick(keepalive_s=0.05, header_timeout_s=0.05, write_stall_s=0.05)
        ) as stage:
            wire = await stage.call()
            wire.send(GET)
            assert (await wire.answer()).body == b"late"

    run(story())


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("head", [b"X: " + b"x" * 3000, b"\r\n".join(b"X%d: y" % n for n in range(30))])
def test_headers_over_a_limit_get_431(head: bytes, *, ended: bool) -> None:
    async def story() -> None:
        async with serving(limits=Limits(header_bytes_max=2000, header_count_max=20)) as stage:
            wire = await stage.call()
            if len(head) < 2000:
                wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
            else:
                wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + head + (b"\r\n\r\n" if ended else b""))
            answer = await wire.answer()
            assert answer.status == 431
            assert msgspec.json.decode(answer.body)["error"]["code"] == "headers_too_large"
            assert await wire.rest() == b""

    run(story())


def test_connections_over_the_limit_are_told_so_and_closed() -> None:
    async def story() -> None:
        async with serving(settings=_quick(connections_max=2)) as stage:
            kept = [await stage.call() for _ in range(2)]
            await until(lambda: stage.server.connections == 2)
            wire = await stage.call()
            answer = await wire.answer()
            assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")
            kept[0].close()
            await until(lambda: stage.server.connections == 1)
            wire = await stage.call()
            wire.send(GET)
            assert (await wire.answer()).status == 200

    run(story())


def test_requests_over_the_limit_get_503_before_their_body_is_read() -> None:
    go = asyncio.Event()

    async def handler(request: Request, reply: Reply) -> None:
        await go.wait()
        await echo(request, reply)

    async def story() -> None:
        async with serving(handler, settings=_quick(in_flight_max=2)) as stage:
            running = [await stage.call() for _ in range(2)]
            for wire in running:
                wire.send(GET)
            await until(lambda: stage.server.in_flight == 2)
            wire = await stage.call()
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
            answer = await wire.answer()
            assert (answer.status, answer.interim) == (503, 0)
            assert answer.headers[b"retry-after"] == b"1"
            assert answer.headers[b"connection"] == b"close"
            go.set()
            for wire in running:
                assert (await wire.answer()).status == 200

    run(story())


def test_draining_closes_what_is_idle_and_lets_what_runs_finish() -> None:
    go = asyncio.Event()

    async def handler(request: Request, reply: Reply) -> None:
        await go.wait()
        await echo(request, reply)

    async def story() -> None:
        async with serving(handler) as stage:
            idle, busy = await stage.call(), await stage.call()
            busy.send(GET + GET)
            await until(lambda: stage.server.in_flight == 1 and stage.server.connections == 2)
            draining = asyncio.create_task(stage.server.drain(10))
            assert await idle.rest() == b""
            with pytest.raises(OSError):
                await (await stage.call()).reader.readexactly(1)
            go.set()
            answer = await busy.answer()
            assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
            assert await busy.rest() == b""
            busy.close()
            await draining

    run(story())


def test_draining_breaks_off_what_outlasts_its_grace() -> None:
    ended: list[str] = []

    async def handler(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        reply.write(b"one")
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            await wire.reader.readuntil(b"one\r\n")
            begun = time.monotonic()
            await stage.server.drain(0.1)
            assert 0.09 < time.monotonic() - begun < 1
            assert ended == ["cancelled"]
            assert b"0\r\n\r\n" not in await wire.rest()

    run(story())
