"""Callers who leave, callers who do not read, and what the handler learns of it."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

import msgspec
import pytest
from tests.http1.server_stage import QUICK, Stage, Wire, run, serving, until

from yizhan.errors import CallerGone
from yizhan.http1.message import Limits
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Waiting:
    """A handler that begins an answer and then waits until its caller has gone."""

    def __init__(self, *, start: bool = True) -> None:
        self.start = start
        self.calls = 0
        self.reply: Reply | None = None
        self.left = asyncio.Event()

    async def __call__(self, request: Request, reply: Reply) -> None:
        self.reply = reply
        reply.on_gone(self._gone)
        if self.start:
            reply.start(200, [])
            reply.write(b"one")
        await self.left.wait()
        reply.on_gone(None)
        if not self.start:
            reply.start(200, [])
        reply.write(b"to nobody")
        reply.end()

    def _gone(self) -> None:
        self.calls += 1
        self.left.set()


def _reset(wire: Wire) -> None:
    sock = wire.writer.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.writer.transport.abort()


async def _learns(stage: Stage, handler: Waiting) -> None:
    await handler.left.wait()
    await until(lambda: stage.server.in_flight == 0 and stage.server.connections == 0)
    assert handler.calls == 1
    assert handler.reply is not None
    assert handler.reply.gone
    assert stage.errors == []


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_the_handler_learns_at_once_that_the_caller_left(how: str, *, start: bool) -> None:
    async def story() -> None:
        handler = Waiting(start=start)
        async with serving(handler, settings=msgspec.structs.replace(QUICK, sweep_s=3600)) as stage:
            wire = await stage.call()
            wire.send(GET)
            await until(lambda: stage.server.in_flight == 1)
            begun = time.monotonic()
            if how == "close":
                wire.close()
            elif how == "reset":
                _reset(wire)
            else:
                wire.writer.write_eof()
            await _learns(stage, handler)
            assert time.monotonic() - begun < 0.5

    run(story())


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_handler_learns_it_also_while_reading_is_paused(how: str) -> None:
    async def story() -> None:
        handler = Waiting()
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET + b"x" * 30_000_000)  # far more than is read ahead
            await until(lambda: stage.server.in_flight == 1)
            await asyncio.sleep(0.05)
            assert wire.writer.transport.get_write_buffer_size() > 0
            if how == "close":
                wire.writer.transport.abort()
                # Its end is stuck behind bytes that nobody takes: only an answer to our writing tells.
                assert handler.reply is not None
                while not handler.reply.gone:
                    handler.reply.write(b"more")
                    await asyncio.sleep(0.01)
            else:
                _reset(wire)
            await _learns(stage, handler)

    run(story())


def test_an_end_behind_what_was_read_ahead_is_seen() -> None:
    async def story() -> None:
        handler = Waiting()
        async with serving(handler) as stage:
            sock = socket.create_connection(("127.0.0.1", stage.port))
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, GET + b"x" * 70_000)  # pauses the reading
            await until(lambda: stage.server.in_flight == 1)
            await asyncio.sleep(0.03)
            await loop.sock_sendall(sock, b"x" * 10_000)  # stays in the kernel, with the end behind it
            sock.shutdown(socket.SHUT_WR)
            await _learns(stage, handler)
            sock.close()

    run(story())


def test_no_more_than_a_bound_is_read_ahead() -> None:
    async def story() -> None:
        handler = Waiting()
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            await until(lambda: stage.server.in_flight == 1)
            connection = next(iter(stage.server._open))
            wire.send(b"x" * 30_000_000)
            await until(lambda: len(connection._ahead) >= 65536)
            await asyncio.sleep(0.05)
            assert len(connection._ahead) < 65536 + 262_144  # what one read may bring on top

    run(story())


def test_who_asks_late_is_told_soon() -> None:
    told: list[bool] = []

    async def handler(request: Request, reply: Reply) -> None:
        await until(lambda: reply.gone)
        reply.on_gone(lambda: told.append(True))
        assert told == []
        await asyncio.sleep(0)

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            await until(lambda: stage.server.in_flight == 1)
            wire.close()
            await until(lambda: stage.server.in_flight == 0)
            assert told == [True]
            assert stage.errors == []

    run(story())


def test_leaving_after_the_end_of_an_answer_is_not_leaving() -> None:
    called: list[bool] = []

    async def handler(request: Request, reply: Reply) -> None:
        reply.on_gone(lambda: called.append(True))
        reply.send(200, [], b"done")
        await until(lambda: stages[0].server.connections == 0)
        assert not reply.gone

    stages: list[Stage] = []

    async def story() -> None:
        async with serving(handler) as stage:
            stages.append(stage)
            wire = await stage.call()
            wire.send(GET)
            assert (await wire.answer()).body == b"done"
            wire.close()
            await until(lambda: stage.server.in_flight == 0)
            assert called == []
            assert stage.errors == []

    run(story())


def test_a_body_cut_short_by_leaving_is_told_to_its_reader() -> None:
    seen: list[Exception] = []

    async def handler(request: Request, reply: Reply) -> None:
        try:
            await request.body()
        except CallerGone as error:
            seen.append(error)
            raise

    async def story() -> None:
        async with serving(handler) as stage:
            for tail in (b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhal"):
                wire = await stage.call()
                wire.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + tail)
                await until(lambda: stage.server.in_flight == 1)
                wire.close()
                await until(lambda: stage.server.in_flight == 0)
            assert len(seen) == 2
            assert stage.errors == []

    run(story())


def test_a_caller_that_does_not_read_presses_back_and_memory_stays_flat() -> None:
    moves: list[str] = []
    most = written = 0

    async def handler(request: Request, reply: Reply) -> None:
        nonlocal most, written
        open_ = asyncio.Event()
        open_.set()

        def pause() -> None:
            moves.append("pause")
            open_.clear()

        def resume() -> None:
            moves.append("resume")
            open_.set()

        reply.on_pressure(pause, resume)
        reply.start(200, [], length=30_000_000)
        for _ in range(300):
            await open_.wait()
            reply.write(b"x" * 100_000)
            written += 100_000
            most = max(most, written - reply.delivered)
        reply.end()

    async def story() -> None:
        async with serving(handler, limits=Limits(buffer_bytes_max=200_000)) as stage:
            wire = await stage.call()
            wire.send(GET)
            await until(lambda: "pause" in moves)
            await asyncio.sleep(0.05)
            stopped_at = written
            assert stopped_at < 20_000_000
            assert len((await wire.answer()).body) == 30_000_000
            assert set(moves) == {"pause", "resume"}
            assert most <= 400_000

    run(story())


def test_delivered_counts_what_the_kernel_took_and_no_more() -> None:
    async def story() -> None:
        handler = Waiting()
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            await wire.reader.readuntil(b"one\r\n")
            reply = handler.reply
            assert reply is not None
            assert reply.delivered == 3
            wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
            reply.write(b"x" * 20_000_000)
            await asyncio.sleep(0.05)
            delivered = reply.delivered
            assert 3 < delivered < 20_000_000
            _reset(wire)
            await _learns(stage, handler)
            assert delivered <= reply.delivered < 20_000_000

    run(story())


def test_a_caller_that_takes_nothing_for_long_is_gone() -> None:
    async def story() -> None:
        handler = Waiting()
        async with serving(handler, settings=msgspec.structs.replace(QUICK, write_stall_s=0.1)) as stage:
            wire = await stage.call()
            wire.send(GET)
            await wire.reader.readuntil(b"one\r\n")
            wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
            assert handler.reply is not None
            handler.reply.write(b"x" * 20_000_000)
            await _learns(stage, handler)

    run(story())


def test_answers_are_not_piled_up_for_a_caller_that_asks_on_and_never_reads() -> None:
    answered = 0

    async def handler(request: Request, reply: Reply) -> None:
        nonlocal answered
        answered += 1
        reply.send(200, [], b"x" * 100_000)

    async def story() -> None:
        async with serving(handler, limits=Limits(buffer_bytes_max=200_000)) as stage:
            wire = await stage.call()
            wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
            wire.send(GET * 3000)
            await until(lambda: answered > 5)
            await asyncio.sleep(0.1)
            stopped_at = answered
            assert stopped_at < 200
            wire.reader._transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(3000):
                assert len((await wire.answer()).body) == 100_000
            assert answered == 3000

    run(story())
