"""Feeds the server's protocol any bytes in any pieces, guided by coverage (atheris); checks what must always hold.

Run with a Python that has atheris and msgspec: ``python fuzz/http1_server.py -max_total_time=1800``.
Never may the protocol raise, answer more requests than were sent, hold more memory than its bounds, or leave a task.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

with atheris.instrument_imports(include=["yizhan"]):
    from tests.http1.server_corpus import ACCEPTED, SMUGGLING

    from yizhan.errors import StationError
    from yizhan.http1.connection import Connection
    from yizhan.http1.message import Limits
    from yizhan.http1.reply import Reply
    from yizhan.http1.request import Request
    from yizhan.http1.server import Server, ServerSettings

LIMITS = Limits(header_bytes_max=1024, header_count_max=10, body_bytes_max=2000, buffer_bytes_max=500)
AHEAD_MAX = 64 * 1024


class TwinTransport(asyncio.Transport):
    """A transport whose other end is this program: takes what it is given until it is told to be full."""

    def __init__(self, protocol: asyncio.Protocol, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.protocol = protocol
        self.loop = loop
        self.out = bytearray()
        self.full = False
        self.waiting = 0
        self.paused = self.closing = self.ended = self.lost = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "a write after the end of writing"
        assert not self.closing, "a write to a closed transport"
        self.out += data
        if self.full:
            if not self.waiting:
                self.waiting = len(data)
                self.protocol.pause_writing()
            else:
                self.waiting += len(data)

    def drained(self) -> None:
        """Take all that waits."""
        self.full = False
        if self.waiting:
            self.waiting = 0
            self.protocol.resume_writing()

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: ``full`` says when."""

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self.lose)

    def abort(self) -> None:
        self.close()

    def lose(self) -> None:
        """Tell the protocol, once, that the connection is no more."""
        if not self.lost:
            self.closing = self.lost = True
            self.protocol.connection_lost(None)


class Session:
    """One connection from its first byte to its last."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.calls = 0
        self.errors: list[Exception] = []
        settings = ServerSettings(body_memory_max=4000, linger_bytes_max=4000)
        self.server = Server(self.handle, limits=LIMITS, settings=settings, on_error=self.errors.append)
        self.server.loop = loop
        self.connection = Connection(self.server)
        self.transport = TwinTransport(self.connection, loop)
        self.connection.connection_made(self.transport)

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer in the way that the path asks for."""
        self.calls += 1
        match request.path[1:2]:
            case b"e":
                reply.send(200, [], b"early")
            case b"p":
                reply.start(200, [])
                async for piece in request.pieces():
                    reply.write(piece)
                reply.end()
            case b"s":
                await asyncio.sleep(0)
                reply.start(200, [], length=2)
                reply.end(b"ok")
            case _:
                reply.send(200, [], b"%d" % len(await request.body()))

    def turn(self, times: int = 1) -> None:
        """Let the loop go round."""
        for _ in range(times):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def check(self, fed: int) -> None:
        """Check the bounds of memory."""
        assert len(self.connection._ahead) <= AHEAD_MAX + fed, "read too far ahead"  # noqa: SLF001
        assert len(self.connection._reader._kept) <= LIMITS.header_bytes_max + fed, "a head too long"  # noqa: SLF001
        assert self.server.body_bytes <= 4000 + fed, "bodies too large"
        assert self.server.in_flight <= 1, "two requests of one connection at once"


def one_input(data: bytes) -> None:
    """Play one session: the first bytes say how the others are cut and what happens between."""
    loop = asyncio.new_event_loop()
    complaints: list[Any] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    session = Session(loop)
    transport = session.transport
    plan, rest = data[:8], data[8:]
    step = 0
    while rest and not transport.closing and step < 4000:
        size = (plan[step % len(plan)] >> 2) + 1
        action = plan[step % len(plan)] & 3
        step += 1
        if not transport.paused:
            piece, rest = rest[: size * 8], rest[size * 8 :]
            session.connection.data_received(piece)
            session.check(len(piece))
        elif action == 0:
            break
        if action == 1:
            session.turn()
        elif action == 2:
            transport.full = True
        elif action == 3:
            transport.drained()
            session.turn(3)
    session.turn(20)
    transport.drained()
    session.turn(20)
    session.connection.sweep(plan[0] * 1.0 if plan else 0.0)
    if not transport.closing and not session.connection.eof_received():
        transport.close()
    session.turn(10)
    transport.lose()
    session.turn(10)
    assert not complaints, complaints
    faults = [error for error in session.errors if not isinstance(error, StationError)]
    assert not faults, faults
    assert not session.server.tasks, "a task is left"
    assert session.server.body_bytes == 0, "bytes are held for nobody"
    assert session.calls <= data.count(b"HTTP/1."), "a request out of nothing"
    answers = transport.out.count(b"HTTP/1.1 ") - transport.out.count(b"HTTP/1.1 100 ") - data.count(b"HTTP/1.1 ")
    assert answers <= session.calls + 1, "more answers than requests"
    loop.close()


def _seed(folder: Path) -> None:
    for number, data in enumerate((ACCEPTED | SMUGGLING).values()):
        for target in (b" / ", b" /e ", b" /p ", b" /s "):
            name = f"seed-{number}-{target.strip()[1:].decode() or 'b'}"
            (folder / name).write_bytes(b"\xfd\x05\x7d\xff\x02\x41\x81\xfd" + data.replace(b" / ", target) * 2)


def main() -> None:
    """Fuzz until told to stop, or until something does not hold."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-http1-"))
    try:
        _seed(folder)
        atheris.Setup([*sys.argv, str(folder)], one_input)
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
