"""What the client's tests share: a loop that tolerates no loose ends, scripted servers, and a wire without a network."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import uvloop

from yizhan.http1.answer import Answer
from yizhan.http1.client import Client, Origin, Timeouts
from yizhan.http1.deadlines import Sweeper
from yizhan.http1.message import Headers, Limits, TransferFailed
from yizhan.http1.outgoing import Connection

T = TypeVar("T")
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENT = Timeouts(connect_s=10, first_byte_s=10, idle_s=10, total_s=20)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run a test's story on uvloop; what the loop had to report by itself fails the test."""
    reports: list[dict[str, Any]] = []

    async def told() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
        return await story

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(told())
    assert not reports, reports
    return result


async def until(condition: Callable[[], object], *, within_s: float = 5) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def calling(*, origin_max: int = 50, idle_max: int = 50, **options: Any) -> AsyncIterator[Client]:
    client = Client(
        limits=options.pop("limits", Limits()),
        pool_origin_max=origin_max,
        pool_idle_max=idle_max,
        tick_s=0.01,
        **options,
    )
    try:
        yield client
    finally:
        await client.close()
        assert client.connections == 0


@asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Origin]:
    """A server on loopback that runs the script for each connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(reader, writer)
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError, RuntimeError):
            # uvloop says RuntimeError where a peer has just gone
            writer.transport.abort()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(follow, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Origin("http" if tls is None else "https", "127.0.0.1" if tls is None else "localhost", port)
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.001)


class Heard(NamedTuple):
    """One request as a server saw it."""

    line: bytes
    headers: dict[bytes, bytes]
    body: bytes


async def hear(reader: asyncio.StreamReader) -> Heard:
    """Read one request; raises IncompleteReadError at the connection's end."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *rest = head[:-4].split(b"\r\n")
    headers = dict(header.split(b": ", 1) for header in rest)
    body = b""
    if b"content-length" in headers:
        body = await reader.readexactly(int(headers[b"content-length"]))
    elif headers.get(b"transfer-encoding") == b"chunked":
        chunks = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            chunks.append((await reader.readexactly(size + 2))[:-2])
        await reader.readexactly(2)
        body = b"".join(chunks)
    return Heard(line, headers, body)


def answering(*answers: bytes, then_close: bool = False) -> Script:
    """A script that gives each connection's requests these answers in turn, the last one for ever."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = 0
        while True:
            await hear(reader)
            writer.write(answers[min(turn, len(answers) - 1)])
            turn += 1
            if then_close and turn >= len(answers):
                writer.close()
                return

    return script


async def get(client: Client, origin: Origin, **options: Any) -> Answer:
    """Send the plainest request."""
    plain: dict[str, Any] = {"method": b"POST", "target": b"/x", "headers": [], "body": b"{}", "timeouts": PATIENT}
    return await client.send(origin, **(plain | options))


# -- without a network -------------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class Home:
    """Where a connection says it went."""

    def __init__(self) -> None:
        self.released: list[Connection] = []
        self.forgotten: list[Connection] = []

    def release(self, connection: Connection) -> None:
        self.released.append(connection)

    def forget(self, connection: Connection) -> None:
        self.forgotten.append(connection)


class Outcome(NamedTuple):
    """What became of an exchange."""

    status: int
    headers: Headers
    body: bytes
    fault: str | None  # the failure's class
    kept: bool  # may the connection be used again?


def connected(limits: Limits, wire: Wire | None = None) -> tuple[Connection, Wire, Home]:
    home, wire = Home(), wire or Wire()
    connection = Connection(home, limits)
    connection.connection_made(wire)
    return connection, wire, home


async def play(
    parts: Sequence[bytes],
    *,
    eof: bool = True,
    reset: bool = False,
    method: bytes = b"POST",
    limits: Limits | None = None,
    wire: Wire | None = None,
) -> Outcome:
    """Feed an answer in these parts, then perhaps a reset or the end of input, to a connection that has asked."""
    limits = limits or Limits()
    connection, _, home = connected(limits, wire)
    loop = asyncio.get_running_loop()
    sweeper = Sweeper(loop, tick_s=60, expire_idle=lambda _: False)
    answer = Answer(connection, sweeper, PATIENT, loop, loop.time() + 60, limits.buffer_bytes_max)
    connection.start(answer, b"POST / HTTP/1.1\r\n\r\n", b"", to_head=method == b"HEAD", streamed=False)
    for part in parts:
        if part and not connection.closed:
            connection.data_received(part)
    kept = bool(home.released) and not connection.closed
    if reset:
        connection.connection_lost(ConnectionResetError())
    elif eof and not connection.closed:
        connection.eof_received()
    sweeper.stop()
    body: list[bytes] = []
    fault = None
    try:
        await answer.head()
        await answer.pipe(body.append)
    except TransferFailed as failure:
        fault = type(failure).__name__
    assert connection.answer is None
    return Outcome(answer.status, answer.headers, b"".join(body), fault, kept)
