"""What a caller gets back."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.http1.server_stage import run, serving, until

from yizhan.errors import BodyTooLarge, NoChannel
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_one_connection_carries_many_requests() -> None:
    async def story() -> None:
        async with serving() as stage:
            wire = await stage.call()
            for n in range(3):
                wire.send(b"POST /%d?q=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" % n)
                answer = await wire.answer()
                assert (answer.status, answer.body) == (200, b"hi")
                assert answer.headers[b"x-path"] == b"/%d" % n
                assert answer.headers[b"date"].endswith(b"GMT")
            assert stage.server.connections == 1
            wire.close()
            await until(lambda: stage.server.connections == 0)

    run(story())


def test_pipelined_requests_are_answered_in_order_and_one_at_a_time() -> None:
    running = 0

    async def handler(request: Request, reply: Reply) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.01 if request.path == b"/0" else 0)
        reply.send(200, [], request.path + await request.body())
        running -= 1

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            one = b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
            wire.send(b"".join(one % n for n in range(20)))
            for n in range(20):
                assert (await wire.answer()).body == b"/%dhi" % n
            assert stage.errors == []

    run(story())


def test_an_answer_to_head_has_a_length_and_no_body() -> None:
    async def story() -> None:
        async with serving() as stage:
            wire = await stage.call()
            for method in (b"HEAD", b"GET"):
                wire.send(method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
                answer = await wire.answer(method.decode())
                assert answer.headers[b"content-length"] == b"3"
                assert answer.body == (b"" if method == b"HEAD" else b"abc")

    run(story())


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_without_a_body_has_none_whatever_the_handler_writes(status: int, *, streamed: bool) -> None:
    async def handler(request: Request, reply: Reply) -> None:
        if streamed:
            reply.start(status, [])
            reply.write(b"nothing")
            reply.end(b"to see")
        else:
            reply.send(status, [], b"nothing to see")

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET + GET.replace(b"1.1\r\n", b"1.1\r\nConnection: close\r\n"))
            heads = (await wire.rest()).split(b"\r\n\r\n")
            assert [head[:12] for head in heads] == [b"HTTP/1.1 %d" % status] * 2 + [b""]
            assert b"content-length" not in heads[0]
            assert b"transfer-encoding" not in heads[0]

    run(story())


def test_a_streamed_answer_is_chunked_and_its_head_leaves_with_the_first_piece() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        reply.start(200, [(b"content-type", b"text/event-stream")])
        reply.write(b"one")
        await asyncio.sleep(0.01)
        reply.write(b"x" * 100_000)
        reply.end(b"two")

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            first = await wire.reader.read(65536)
            assert first.endswith(b"transfer-encoding: chunked\r\n" + first[first.index(b"date") :])
            assert first.endswith(b"\r\n\r\n3\r\none\r\n")
            expected = b"186a0\r\n" + b"x" * 100_000 + b"\r\n3\r\ntwo\r\n0\r\n\r\n"
            assert await wire.reader.readexactly(len(expected)) == expected

    run(story())


def test_the_head_does_not_wait_for_a_first_piece_that_does_not_come() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        await asyncio.sleep(3600)

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    run(story())


def test_an_announced_length_is_kept_or_the_answer_is_broken_off() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        reply.start(200, [], length=6)
        reply.write(b"one")
        reply.end(b"two" if request.path == b"/whole" else b"")

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET.replace(b"/ ", b"/whole "))
            assert (await wire.answer()).body == b"onetwo"
            wire.send(GET)
            assert (await wire.rest()).endswith(b"\r\n\r\none")
            assert [type(error) for error in stage.errors] == [ValueError]

    run(story())


@pytest.mark.parametrize("kept", [False, True])
def test_http_1_0_is_answered_and_kept_only_when_it_asks(*, kept: bool) -> None:
    async def story() -> None:
        async with serving() as stage:
            wire = await stage.call()
            wire.send(b"GET / HTTP/1.0\r\n" + (b"Connection: keep-alive\r\n" if kept else b"") + b"\r\n")
            answer = await wire.answer()
            assert answer.headers[b"connection"] == (b"keep-alive" if kept else b"close")
            if kept:
                wire.send(b"GET / HTTP/1.0\r\n\r\n")
                assert (await wire.answer()).status == 200
            assert await wire.rest() == b""

    run(story())


@pytest.mark.parametrize("broken", [False, True])
def test_a_stream_to_http_1_0_ends_with_the_connection_and_breaks_off_with_a_reset(*, broken: bool) -> None:
    async def handler(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        reply.write(b"one")
        await asyncio.sleep(0.01)
        if broken:
            reply.abort()
        else:
            reply.end(b"two")

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            head = await wire.reader.readuntil(b"\r\n\r\n")
            assert b"chunked" not in head
            assert b"connection: close" in head
            assert await wire.rest() == (b"(reset)" if broken else b"onetwo")

    run(story())


def test_a_caller_that_wants_no_more_is_closed_after_its_answer() -> None:
    async def story() -> None:
        async with serving() as stage:
            wire = await stage.call()
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n")
            answer = await wire.answer()
            assert answer.headers[b"connection"] == b"close"
            assert await wire.rest() == b""

    run(story())


def test_a_failing_handler_gives_a_500_and_harms_nobody_else() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        if request.path == b"/bad":
            raise KeyError("secret")
        if request.path == b"/silent":
            return
        reply.send(200, [], b"fine")

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            for path, status in ((b"/bad", 500), (b"/silent", 500), (b"/good", 200)):
                wire.send(GET.replace(b"/ ", path + b" "))
                answer = await wire.answer()
                assert answer.status == status
                assert b"secret" not in answer.body
                if status == 500:
                    assert msgspec.json.decode(answer.body)["error"]["code"] == "internal_error"
            assert [type(error) for error in stage.errors] == [KeyError, RuntimeError]

    run(story())


def test_an_error_of_the_station_that_escapes_is_said_in_its_own_words() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        raise NoChannel("nobody serves that now", retry_after_s=7)

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            answer = await wire.answer()
            assert (answer.status, answer.headers[b"retry-after"]) == (503, b"7")
            assert msgspec.json.decode(answer.body) == {
                "error": {
                    "message": "nobody serves that now",
                    "type": "service_unavailable",
                    "param": None,
                    "code": "no_channel_available",
                }
            }
            assert stage.errors == []

    run(story())


@pytest.mark.parametrize("error", [ValueError("x"), BodyTooLarge("x"), None])
def test_an_answer_that_fails_midway_lacks_its_last_chunk(error: Exception | None) -> None:
    async def handler(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        reply.write(b"half")
        if error is not None:
            raise error
        reply.abort()

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            assert (await wire.rest()).endswith(b"4\r\nhalf\r\n")
            assert stage.errors == ([] if error is None else [error])

    run(story())


@pytest.mark.parametrize("bad", [(b"x", b"a\r\nset-cookie: b"), (b"x", b"a\nb"), (b"x\r", b"a"), (b"x", b"a\rb")])
def test_a_line_break_inside_a_header_never_leaves_the_server(bad: tuple[bytes, bytes]) -> None:
    async def handler(request: Request, reply: Reply) -> None:
        reply.send(200, [bad], b"")

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            assert (await wire.answer()).status == 500
            assert [type(error) for error in stage.errors] == [ValueError]

    run(story())


def test_headers_that_are_the_servers_own_cannot_be_doubled_by_a_handler() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        own = [b"content-length", b"transfer-encoding", b"connection", b"date"]
        reply.send(200, [(name, b"7") for name in own], b"abc")

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            wire.send(GET)
            head = await wire.reader.readuntil(b"\r\n\r\n")
            assert head.count(b": 7\r\n") == 0
            assert head.count(b"content-length: 3\r\n") == 1

    run(story())


def test_a_kept_reply_cannot_write_into_the_next_answer() -> None:
    kept: list[Reply] = []

    async def handler(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        reply.end(b"mine")
        kept.append(reply)
        if len(kept) == 2:
            kept[0].abort()
            with pytest.raises(AssertionError):
                kept[0].write(b"not yours")
            assert kept[0].delivered == 4

    async def story() -> None:
        async with serving(handler) as stage:
            wire = await stage.call()
            for _ in range(2):
                wire.send(GET)
                assert (await wire.answer()).body == b"mine"
            await until(lambda: len(kept) == 2 and stage.server.in_flight == 0)
            assert stage.errors == []

    run(story())
