from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.http1.client_scene import OK, answering, calling, get, hear, run, serving, until

from yizhan.http1.message import Limits, NoAnswer, TooLong, TransferFailed, Truncated


def test_a_request_leaves_whole_and_its_answer_is_read() -> None:
    async def story() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard = await hear(reader)
            assert heard.line == b"POST /v1/x?a=b HTTP/1.1"
            assert set(heard.headers) == {b"host", b"content-length", b"accept"}
            writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n%b" % (len(heard.body), heard.body))

        async with serving(script) as origin, calling() as client:
            answer = await get(client, origin, target=b"/v1/x?a=b", headers=[(b"accept", b"*/*")], body=b"hello")
            assert (answer.status, await answer.read(10)) == (201, b"hello")

    run(story())


@pytest.mark.parametrize("kept", [OK, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"])
def test_a_connection_is_used_again(kept: bytes) -> None:
    async def story() -> None:
        async with serving(answering(kept)) as origin, calling() as client:
            for _ in range(5):
                assert await (await get(client, origin)).read(10) == b"ok"
            assert (client.connections, client.idle) == (1, 1)

    run(story())


@pytest.mark.parametrize(
    "spent", [OK + b"x", OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), b"HTTP/1.0" + OK[8:]]
)
def test_a_spent_connection_is_not_used_again(spent: bytes) -> None:
    async def story() -> None:
        async with serving(answering(spent)) as origin, calling() as client:
            for _ in range(3):
                assert await (await get(client, origin)).read(10) == b"ok"
                assert client.connections == 0

    run(story())


def test_an_answer_to_head_does_not_swallow_the_next() -> None:
    async def story() -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"
        async with serving(answering(head, OK)) as origin, calling() as client:
            answer = await get(client, origin, method=b"HEAD", body=b"")
            assert (answer.status, await answer.read(0)) == (200, b"")
            assert await (await get(client, origin)).read(10) == b"ok"
            assert client.connections == 1

    run(story())


def test_a_kept_connection_found_closed_sends_the_request_once_more_on_a_fresh_one() -> None:
    async def story() -> None:
        heard: list[int] = []
        turns = iter(range(10))

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            turn = next(turns)
            await hear(reader)
            heard.append(turn)
            writer.write(OK)
            await hear(reader)  # the second request on a connection gets no answer
            heard.append(turn)

        async with serving(script) as origin, calling() as client:
            assert await (await get(client, origin)).read(10) == b"ok"
            assert await (await get(client, origin)).read(10) == b"ok"
            assert heard == [0, 0, 1]

    run(story())


def test_a_fresh_connection_that_closes_without_an_answer_is_not_tried_again() -> None:
    async def story() -> None:
        count = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            await hear(reader)
            count += 1

        async with serving(script) as origin, calling() as client:
            with pytest.raises(NoAnswer):
                await get(client, origin)
            assert count == 1

    run(story())


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_kept_connection_that_broke_after_a_byte_is_not_tried_again(begun: bytes) -> None:
    async def story() -> None:
        async with serving(answering(OK, begun, then_close=True)) as origin, calling() as client:
            await get(client, origin)
            with pytest.raises(Truncated):
                await get(client, origin)

    run(story())


@pytest.mark.parametrize(
    "body", [b"content-length: 5\r\n\r\nhello", b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
def test_an_upstream_that_hangs_up_at_any_byte_never_looks_like_a_clean_end(body: bytes) -> None:
    async def story() -> None:
        wire = b"HTTP/1.1 200 OK\r\n" + body
        async with calling() as client:
            for at in range(len(wire)):
                async with serving(answering(wire[:at], then_close=True)) as origin:
                    with pytest.raises((NoAnswer, Truncated)):
                        await (await get(client, origin)).read(10)
                    assert client.connections == 0

    run(story())


def test_an_answer_that_comes_byte_by_byte_is_whole() -> None:
    async def story() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            for byte in b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nx: y\r\n\r\n":
                writer.write(bytes([byte]))
                await asyncio.sleep(0.001)
            await reader.read()

        async with serving(script) as origin, calling() as client:
            assert await (await get(client, origin)).read(10) == b"hello"
            assert client.idle == 1

    run(story())


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("length", [None, 10])
def test_a_streamed_body_arrives_whole(length: int | None) -> None:
    async def story() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard = await hear(reader)
            assert (b"content-length" in heard.headers) is (length is not None)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n" + heard.body)

        async with serving(script) as origin, calling() as client:
            answer = await get(client, origin, body=_pieces(b"hello", b"", b"world"), length=length)
            assert await answer.read(10) == b"helloworld"
            assert client.idle == 1

    run(story())


def test_a_streamed_body_is_never_sent_twice() -> None:
    async def story() -> None:
        async with serving(answering(OK, b"", then_close=True)) as origin, calling() as client:
            await get(client, origin)
            with pytest.raises(NoAnswer):
                await get(client, origin, body=_pieces(b"once"))

    run(story())


def test_a_body_that_fails_in_the_middle_closes_the_connection_and_is_raised() -> None:
    class Gone(Exception):
        pass

    async def breaks() -> AsyncIterator[bytes]:
        yield b"some"
        raise Gone

    async def story() -> None:
        async with serving(answering(OK)) as origin, calling() as client:
            with pytest.raises(Gone):
                await get(client, origin, body=breaks())
            assert client.connections == 0

    run(story())


@pytest.mark.parametrize("streamed", [True, False])
def test_an_early_answer_stops_the_upload_and_is_relayed(streamed: bool) -> None:
    async def story() -> None:
        produced = 0
        refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"

        async def endless() -> AsyncIterator[bytes]:
            nonlocal produced
            while True:
                produced += 1
                yield b"x" * 65536

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(refusal)
            await writer.drain()
            await asyncio.Event().wait()

        async with serving(script) as origin, calling() as client:
            body = endless() if streamed else b"x" * 30_000_000
            answer = await get(client, origin, body=body)
            assert (answer.status, await answer.read(10)) == (413, b"no")
            assert client.connections == 0
            assert produced < 1000

    run(story())


def test_an_upload_waits_for_an_upstream_that_does_not_read() -> None:
    async def story() -> None:
        produced = 0
        gate = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            nonlocal produced
            for _ in range(1000):
                produced += 1
                yield b"x" * 65536

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            heard = await hear(reader)
            writer.write(OK.replace(b"ok", b"%02d" % (len(heard.body) == 65_536_000)))

        async with serving(script) as origin, calling() as client:
            sending = asyncio.ensure_future(get(client, origin, body=endless()))
            still = -1
            while still != produced:  # until nothing more is asked of the body
                still = produced
                await asyncio.sleep(0.1)
            assert produced < 200
            gate.set()
            assert await (await sending).read(2) == b"01"

    run(story())


def test_cancelling_closes_the_connection() -> None:
    async def story() -> None:
        gone = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            assert await reader.read() == b""
            gone.set()

        async with serving(script) as origin, calling() as client:
            sending = asyncio.ensure_future(get(client, origin))
            await until(lambda: client.connections)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert client.connections == 0
            await asyncio.wait_for(gone.wait(), 5)

    run(story())


def test_an_answer_longer_than_allowed_is_refused_and_its_connection_closed() -> None:
    async def story() -> None:
        long = b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n" + b"x" * 50
        async with serving(answering(long)) as origin, calling() as client:
            answer = await get(client, origin)
            with pytest.raises(TooLong):
                await answer.read(40)
            assert client.connections == 0

    run(story())


def test_an_exception_in_the_sink_closes_the_connection_and_is_raised() -> None:
    class Full(Exception):
        pass

    async def story() -> None:
        more = asyncio.Event()
        calls: list[bytes] = []

        def sink(piece: bytes) -> None:
            calls.append(piece)
            more.set()
            if len(calls) == 2:
                raise Full

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
            await more.wait()
            writer.write(b"1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")
            await reader.read()

        async with serving(script) as origin, calling() as client:
            with pytest.raises(Full):
                await (await get(client, origin)).pipe(sink)
            assert calls == [b"a", b"bc"]  # what came in one read comes in one piece; nothing after the exception
            assert client.connections == 0

    run(story())


def test_abandoning_an_answer_twice_never_touches_the_connections_next_exchange() -> None:
    async def story() -> None:
        async with serving(answering(OK)) as origin, calling() as client:
            first = await get(client, origin)
            assert client.idle == 1  # its body had come with the head
            second = asyncio.ensure_future(get(client, origin))
            await asyncio.sleep(0)
            first.close()
            first.close()
            assert await (await second).read(10) == b"ok"
            assert client.connections == 1

    run(story())


def test_an_abandoned_answer_closes_its_connection_and_ends_its_pipe() -> None:
    async def story() -> None:
        begun = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"
        async with serving(answering(begun)) as origin, calling() as client:
            answer = await get(client, origin)
            got: list[bytes] = []
            piping = asyncio.ensure_future(answer.pipe(got.append))
            await until(lambda: got)
            answer.close()
            with pytest.raises(TransferFailed):
                await piping
            assert (got, client.connections) == ([b"abc"], 0)

    run(story())


@pytest.mark.parametrize("read_first", [True, False])
def test_memory_stays_flat_when_nobody_takes_the_answer(read_first: bool) -> None:
    async def story() -> None:
        size = 40_000_000
        sent = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            while sent < size:
                writer.write(b"x" * 50_000)
                sent += 50_000
                await writer.drain()

        async with serving(script) as origin, calling(limits=Limits(buffer_bytes_max=100_000)) as client:
            answer = await get(client, origin)
            got = 0

            def sink(piece: bytes) -> None:
                nonlocal got
                got += len(piece)
                if got == len(piece) and read_first:
                    answer.pause()

            if read_first:
                piping = asyncio.ensure_future(answer.pipe(sink))
            still = -1
            while still != sent:
                still = sent
                await asyncio.sleep(0.1)
            assert sent < 20_000_000  # what two kernels' buffers hold
            if read_first:
                assert got < 1_000_000
                answer.resume()
            else:
                piping = asyncio.ensure_future(answer.pipe(sink))
            await piping
            assert got == size

    run(story())
