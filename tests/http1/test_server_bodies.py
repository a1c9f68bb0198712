"""How a request's body comes in."""

from __future__ import annotations

import asyncio
import gzip
import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.http1.server_stage import QUICK, run, serving, until

from yizhan.errors import StationError
from yizhan.http1.coding import inflate
from yizhan.http1.message import Limits
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request

CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n00A;name=value\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n"
)
PLAIN = b"POST /p?q HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"


async def tell(request: Request, reply: Reply) -> None:
    body = await request.body()
    names = b",".join(name for name, _ in request.headers)
    reply.send(200, [(b"x-names", names)], request.path + b"?" + request.query + b"=" + body)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, len(CHUNKED + PLAIN + CHUNKED)), max_size=12))
def test_where_the_network_cuts_the_bytes_changes_nothing(cuts: list[int]) -> None:
    bytes_ = CHUNKED + PLAIN + CHUNKED

    async def story() -> None:
        async with serving(tell) as stage:
            wire = await stage.call()
            edges = [0, *sorted(cuts), len(bytes_)]
            for start, end in itertools.pairwise(edges):
                wire.send(bytes_[start:end])
                await asyncio.sleep(0)
            for expected in (b"/c?=abc0123456789", b"/p?q=hello", b"/c?=abc0123456789"):
                assert (await wire.answer()).body == expected

    run(story())


def test_a_request_that_comes_byte_by_byte_is_understood() -> None:
    async def story() -> None:
        async with serving(tell) as stage:
            wire = await stage.call()
            wire.writer.transport.set_write_buffer_limits(0)
            for byte in b"\r\n\r\n" + CHUNKED + b"\r\n" + PLAIN:
                wire.send(bytes([byte]))
                await wire.writer.drain()
                await asyncio.sleep(0)
            assert (await wire.answer()).body == b"/c?=abc0123456789"
            assert (await wire.answer()).body == b"/p?q=hello"

    run(story())


def test_trailers_do_not_become_headers() -> None:
    async def story() -> None:
        async with serving(tell) as stage:
            wire = await stage.call()
            wire.send(CHUNKED)
            assert (await wire.answer()).headers[b"x-names"] == b"host,transfer-encoding"

    run(story())


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_an_upgrade_is_ignored_and_the_body_is_not_lost(upgrade: bytes) -> None:
    async def story() -> None:
        async with serving(tell) as stage:
            wire = await stage.call()
            line = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + b"\r\nHTTP2-Settings: AAE\r\n"
            for _ in range(2):
                wire.send(PLAIN.replace(b"Content-Type", line + b"Content-Type"))
                assert (await wire.answer()).body == b"/p?q=hello"

    run(story())


def test_the_path_of_an_absolute_target_is_found() -> None:
    async def story() -> None:
        async with serving(tell) as stage:
            wire = await stage.call()
            for target, body in ((b"http://b:1/x/y?z", b"/x/y?z="), (b"https://b", b"/?="), (b"http://b?z", b"/?z=")):
                wire.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
                assert (await wire.answer()).body == body

    run(story())


def test_a_body_that_is_already_here_is_read_without_waiting() -> None:
    suspended: list[int] = []

    async def handler(request: Request, reply: Reply) -> None:
        asyncio.get_running_loop().call_soon(suspended.append, 1)
        body = await request.body()
        assert await request.body() == body
        reply.send(200, [], b"%d" % len(suspended))

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(PLAIN)
            assert (await wire.answer()).body == b"0"

    run(story())


def test_a_caller_that_waits_for_100_gets_it_when_the_body_is_wanted() -> None:
    async def story() -> None:
        async with serving(tell) as stage:
            wire = await stage.call()
            head, body = PLAIN.replace(b"Content-Type", b"Expect: 100-Continue\r\nContent-Type")[:-5], PLAIN[-5:]
            wire.send(head)
            assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            wire.send(body)
            assert (await wire.answer()).body == b"/p?q=hello"
            wire.send(head + body)  # it did not wait, so nobody tells it to go on
            assert (await wire.answer()).interim == 0

    run(story())


@pytest.mark.parametrize("expects", [True, False])
def test_a_body_announced_over_the_limit_is_refused_unread_and_the_refusal_arrives(*, expects: bool) -> None:
    async def story() -> None:
        async with serving(tell, limits=Limits(body_bytes_max=1000)) as stage:
            wire = await stage.call()
            expect = b"Expect: 100-continue\r\n" if expects else b""
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + expect + b"Content-Length: 4000000\r\n\r\n")
            if not expects:
                wire.send(b"x" * 3_000_000)  # still sending when the answer comes
            answer = await wire.answer()
            assert (answer.status, answer.interim) == (413, 0)
            assert answer.headers[b"connection"] == b"close"
            assert msgspec.json.decode(answer.body)["error"]["code"] == "body_too_large"
            assert await wire.rest() == b""

    run(story())


def test_a_chunked_body_over_the_limit_is_refused_when_it_passes_it() -> None:
    async def story() -> None:
        async with serving(tell, limits=Limits(body_bytes_max=1000)) as stage:
            wire = await stage.call()
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(3):
                wire.send(b"190\r\n" + b"x" * 400 + b"\r\n")
            assert (await wire.answer()).status == 413

    run(story())


def test_a_lingering_caller_that_never_stops_sending_is_cut_off() -> None:
    async def story() -> None:
        async with serving(settings=msgspec.structs.replace(QUICK, linger_bytes_max=2_000_000)) as stage:
            wire = await stage.call()
            wire.send(b"nonsense\r\n\r\n")

            async def pour() -> None:
                while True:
                    wire.send(b"x" * 100_000)
                    await wire.writer.drain()

            with pytest.raises(ConnectionError):
                await pour()

    run(story())


def test_a_lingering_caller_that_stays_silent_is_cut_off() -> None:
    async def story() -> None:
        async with serving(settings=msgspec.structs.replace(QUICK, linger_s=0.05)) as stage:
            wire = await stage.call()
            wire.send(b"nonsense\r\n\r\n")
            assert (await wire.answer()).status == 400
            await until(lambda: stage.server.connections == 0)

    run(story())


def test_an_upload_waits_for_a_slow_reader_and_memory_stays_flat() -> None:
    go = asyncio.Event()
    seen = 0

    async def handler(request: Request, reply: Reply) -> None:
        nonlocal seen
        await go.wait()
        async for piece in request.pieces():
            seen += len(piece)
            assert request.held < 1_000_000
            await asyncio.sleep(0)
        reply.send(200, [], b"%d" % seen)

    async def story() -> None:
        limits = Limits(buffer_bytes_max=65536, body_bytes_max=50_000_000)
        async with serving(handler, limits=limits) as stage:
            wire = await stage.call()
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000000\r\n\r\n")
            wire.send(b"x" * 40_000_000)
            await until(lambda: stage.server.body_bytes >= 65536)
            left = wire.writer.transport.get_write_buffer_size()
            await asyncio.sleep(0.05)
            assert wire.writer.transport.get_write_buffer_size() == left > 20_000_000
            assert stage.server.body_bytes < 1_000_000
            go.set()
            assert (await wire.answer()).body == b"40000000"

    run(story())


def test_bodies_together_over_the_servers_memory_are_refused() -> None:
    async def story() -> None:
        async with serving(settings=msgspec.structs.replace(QUICK, body_memory_max=1_000_000)) as stage:
            wire = await stage.call()
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 2_000_000)
            assert (await wire.answer()).status == 503

    run(story())


@pytest.mark.parametrize("bad", [b"x\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b" 1\r\n", b"\r\n", b"1\n", b"1\r\nab\r\n", b"1" * 16 + b"\r\n", b"1;\x00\r\n", b"1\rX", b"0\r\nbad trailer\r\n", b"0\r\n: x\r\n", b"0\r\nX: y\n\r\n", b"1;" + b"x" * 5000 + b"\r\n", b"0\r\n" + b"X: y\r\n" * 5000 + b"\r\n"])  # fmt: skip
def test_a_bad_chunk_is_refused_and_the_connection_closed(bad: bytes) -> None:
    async def story() -> None:
        async with serving() as stage:
            wire = await stage.call()
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + bad)
            answer = await wire.answer()
            assert (answer.status, answer.headers[b"connection"]) == (400, b"close")
            assert msgspec.json.decode(answer.body)["error"]["code"] == "bad_http"
            assert await wire.rest() == b""

    run(story())


def test_a_compressed_body_is_inflated_within_its_limit() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        body = inflate(await request.body(), request.header(b"content-encoding"), limit=100_000)
        reply.send(200, [], b"%d" % len(body))

    async def story() -> None:
        async with serving(handler) as stage:
            for size, status in ((100_000, 200), (100_001, 413), (50_000_000, 413)):
                wire = await stage.call()
                body = gzip.compress(b"x" * size)
                wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n")
                wire.send(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                assert (await wire.answer()).status == status

    run(story())


def test_two_readers_of_one_body_do_not_steal_from_each_other() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        first = asyncio.ensure_future(request.body())
        await asyncio.sleep(0)
        with pytest.raises(AssertionError):
            await request.body()
        reply.send(200, [], await first)

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(PLAIN[:-2])
            await until(lambda: stage.server.in_flight == 1)
            await asyncio.sleep(0.01)
            wire.send(PLAIN[-2:])
            assert (await wire.answer()).body == b"hello"

    run(story())


def test_a_failure_of_the_body_is_told_again_to_whoever_asks_again() -> None:
    told: list[str] = []

    async def handler(request: Request, reply: Reply) -> None:
        for _ in range(2):
            try:
                await request.body()
            except StationError as error:
                told.append(error.code)
        reply.send(400, [], b"")

    async def story() -> None:
        async with serving(handler, settings=msgspec.structs.replace(QUICK, body_timeout_s=0.05)) as stage:
            wire = await stage.call()
            wire.send(PLAIN[:-1])
            assert (await wire.answer()).status == 400
            assert told == ["request_timeout", "request_timeout"]

    run(story())
