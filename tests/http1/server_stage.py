"""A server on a free loopback port for one test, and a caller that speaks to it through a parser not ours (h11)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import h11
import uvloop

from yizhan.http1.message import Limits
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request
from yizhan.http1.server import Handler, Server, ServerSettings

QUICK = ServerSettings(sweep_s=0.02)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Tell one story on a fresh uvloop, within 20 seconds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(story, 20))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true; the deadline is the story's."""
    while not condition():
        await asyncio.sleep(0.002)


async def echo(request: Request, reply: Reply) -> None:
    """Say back what came."""
    body = await request.body()
    reply.send(200, [(b"x-method", request.method), (b"x-path", request.path)], body)


class Stage:
    """A running server and what it complained of."""

    def __init__(self, server: Server, port: int, errors: list[Exception]) -> None:
        self.server = server
        self.port = port
        self.errors = errors
        self.wires: list[Wire] = []

    async def call(self, **options: Any) -> Wire:
        """Connect to the server."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **options)
        self.wires.append(Wire(reader, writer))
        return self.wires[-1]


class Wire:
    """One raw connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self.writer.write(data)

    async def rest(self) -> bytes:
        """Read all there is until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b"(reset)"

    async def answer(self, method: str = "GET") -> Answer:
        """Read one answer, interim ones counted."""
        wire = self._h11
        if wire.our_state is h11.DONE:
            wire.start_next_cycle()
        wire.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        wire.send(h11.EndOfMessage())
        interim, head, body = 0, None, bytearray()
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                wire.receive_data(await self.reader.read(65536))
            elif isinstance(event, h11.InformationalResponse):
                interim += 1
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return Answer(head.status_code, dict(head.headers), bytes(body), interim)
            else:
                raise AssertionError(f"unexpected {event!r}")

    def close(self) -> None:
        """Leave."""
        self.writer.close()


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes, interim: int) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.interim = interim


@asynccontextmanager
async def serving(
    handler: Handler = echo,
    *,
    limits: Limits | None = None,
    settings: ServerSettings = QUICK,
    tls: ssl.SSLContext | None = None,
    request_id: Callable[[], str] | None = None,
) -> AsyncIterator[Stage]:
    """Serve until the end of the block; then nothing may be left running."""
    errors: list[Exception] = []
    server = Server(handler, limits=limits, settings=settings, on_error=errors.append, request_id=request_id)
    sock = socket.create_server(("127.0.0.1", 0))
    await server.serve(sock, tls=tls)
    stage = Stage(server, sock.getsockname()[1], errors)
    try:
        yield stage
    finally:
        for wire in stage.wires:
            wire.writer.transport.abort()
        await server.drain(0)
        assert server.connections == 0
        assert server.in_flight == 0
        assert server.body_bytes == 0
        sock.close()
