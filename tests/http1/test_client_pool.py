from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.http1.client_scene import OK, Wire, answering, calling, get, hear, run, serving

from yizhan.http1.client import Origin
from yizhan.http1.message import Limits, TransferFailed
from yizhan.http1.outgoing import Connection
from yizhan.http1.pool import Pool, Stable
from yizhan.http1.upload import ShortUpload

HERE = Origin("http", "h", 80)


def _pool(*, origin_max: int = 1) -> tuple[Pool, Stable]:
    pool = Pool(asyncio.get_running_loop(), origin_max=origin_max, idle_max=5, waiters_max=10, idle_s=5)
    return pool, pool.stable((HERE, None, None))


async def _opened(pool: Pool, stable: Stable) -> Connection:
    assert await pool.claim(stable) is None
    connection = Connection(pool, Limits(), stable)
    connection.connection_made(Wire())
    pool.live.add(connection)
    return connection


@pytest.mark.parametrize("given", ["connection", "room"])
def test_a_waiter_cancelled_at_the_moment_it_is_served_passes_it_on(given: str) -> None:
    async def story() -> None:
        pool, stable = _pool()
        connection = await _opened(pool, stable)
        waiting = [asyncio.ensure_future(pool.claim(stable)) for _ in range(2)]
        await asyncio.sleep(0)
        if given == "connection":
            pool.release(connection)
        else:
            connection.drop()
        waiting[0].cancel()
        assert await waiting[1] is (connection if given == "connection" else None)
        assert stable.open == 1

    run(story())


def test_a_connection_that_dies_on_its_way_to_a_waiter_gives_it_room_instead() -> None:
    async def story() -> None:
        pool, stable = _pool()
        connection = await _opened(pool, stable)
        waiting = asyncio.ensure_future(pool.claim(stable))
        await asyncio.sleep(0)
        pool.release(connection)
        connection.eof_received()
        assert await waiting is None
        assert (stable.open, pool.stable(stable.key)) == (1, stable)

    run(story())


def test_a_waiter_cancelled_while_others_are_served_is_simply_skipped() -> None:
    async def story() -> None:
        pool, stable = _pool()
        connection = await _opened(pool, stable)
        waiting = [asyncio.ensure_future(pool.claim(stable)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        pool.release(connection)
        assert await waiting[1] is connection
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]

    run(story())


def test_a_pool_forgets_origins_it_has_no_connection_to() -> None:
    async def story() -> None:
        pool, stable = _pool()
        (await _opened(pool, stable)).drop()
        assert stable.open == 0
        assert pool.stable(stable.key) is not stable

    run(story())


def test_a_sink_may_abandon_its_own_answer() -> None:
    async def story() -> None:
        more = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            await more.wait()
            writer.write(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")

        async with serving(script) as origin, calling() as client:
            answer = await get(client, origin)
            got: list[bytes] = []

            def sink(piece: bytes) -> None:
                got.append(piece)
                answer.close()

            more.set()
            with pytest.raises(TransferFailed, match="abandoned"):
                await answer.pipe(sink)
            assert (got, client.connections) == ([b"ab"], 0)

    run(story())


def test_an_exception_over_a_piece_that_came_early_is_raised_too() -> None:
    class Full(Exception):
        pass

    def sink(piece: bytes) -> None:
        raise Full

    async def story() -> None:
        begun = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"
        async with serving(answering(begun)) as origin, calling() as client:
            answer = await get(client, origin)
            answer.pause()
            with pytest.raises(Full):
                await answer.pipe(sink)
            answer.resume()
            assert client.connections == 0

    run(story())


def test_cancelling_a_pipe_closes_its_connection() -> None:
    async def story() -> None:
        begun = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"
        async with serving(answering(begun)) as origin, calling() as client:
            piping = asyncio.ensure_future((await get(client, origin)).read(10))
            await asyncio.sleep(0)
            piping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await piping
            assert client.connections == 0

    run(story())


@pytest.mark.parametrize("length", [3, 20])
def test_a_streamed_body_must_be_as_long_as_announced(length: int) -> None:
    async def story() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"hello"

        async with serving(answering(OK)) as origin, calling() as client:
            with pytest.raises(ShortUpload):
                await get(client, origin, body=pieces(), length=length)
            assert client.connections == 0

    run(story())


def test_a_connection_that_died_in_this_turn_of_the_loop_is_as_good_as_closed() -> None:
    async def story() -> None:
        async with serving(answering(OK)) as origin, calling() as client:
            assert await (await get(client, origin)).read(2) == b"ok"
            (kept,) = client._pool.live
            kept._transport.abort()  # connection_lost() comes a turn later
            assert await (await get(client, origin)).read(2) == b"ok"

    run(story())
