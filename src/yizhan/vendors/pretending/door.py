"""The pretend vendor's HTTP/1.1: just enough of a server to be called by any client, and to misbehave at will.

It stands alone on purpose: a fault of the station's own server must not hide behind the same fault here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from yizhan.vendors.pretending.steps import End, Step, Write

_HEAD_MAX = 64 * 1024
_BODY_MAX = 64 * 1024 * 1024


class Call(msgspec.Struct, frozen=True):
    """One request as it came."""

    method: bytes
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes


class Act(msgspec.Struct):
    """What to do about a call, and whom to tell how far it got."""

    steps: Iterator[Step]
    wrote: Callable[[int], None]  # tokens
    ended: Callable[[End | None], None]  # None: the other side left


class BadHttp(Exception):
    """Bytes that are no request."""


class Connection(asyncio.Protocol):
    """One connection: reads a call, takes the steps of its act, reads the next."""

    def __init__(self, answer: Callable[[Call], Act], refuses: Callable[[], bool], open_: set[Connection]) -> None:
        self._answer = answer
        self._refuses = refuses
        self._open = open_
        self._buffer = bytearray()
        self._act: Act | None = None
        self._keep = True
        self._paused = False
        self._continued = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._open.add(self)
        if self._refuses():
            self.reset()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _HEAD_MAX + _BODY_MAX:
            self._transport.close()
        elif self._act is None:
            self._next()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._timer is None and self._act is not None:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._open.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        act, self._act = self._act, None
        if act is not None:
            act.ended(None)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Close the connection after what was written."""
        self._transport.close()

    def _next(self) -> None:
        """Begin the next call, if it is there whole."""
        while self._act is None and self._buffer and not self._transport.is_closing():
            try:
                call = self._cut()
            except BadHttp as error:
                body = str(error).encode()
                self._transport.write(
                    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
                )
                self._transport.close()
                return
            if call is None:
                return
            self._continued = False
            self._act = self._answer(call)
            self._advance()

    def _cut(self) -> Call | None:
        """Cut one call off the buffer; None when more must come. Raises BadHttp."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", 0, _HEAD_MAX)
        if end < 0:
            if len(buffer) >= _HEAD_MAX:
                raise BadHttp("the head is too long")
            return None
        lines = bytes(buffer[:end]).split(b"\r\n")
        try:
            method, target, _ = lines[0].split(b" ")
            path, _, query = target.decode().partition("?")
        except ValueError:
            raise BadHttp("not a request line") from None
        headers: dict[bytes, bytes] = {}
        for line in lines[1:]:
            name, mark, value = line.partition(b":")
            if not mark:
                raise BadHttp("not a header")
            headers[name.lower()] = value.strip()
        body, used = _body(buffer, end + 4, headers)
        if body is None:
            if b"expect" in headers and not self._continued:
                self._continued = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        del buffer[:used]
        self._keep = headers.get(b"connection", b"").lower() != b"close"
        return Call(method, path, query, headers, body)

    def _advance(self) -> None:
        """Take steps until one has to wait."""
        self._timer = None
        act = self._act
        while act is not None and not self._paused:
            step = next(act.steps)
            if isinstance(step, Write):
                self._transport.write(step.data)
                act.wrote(step.tokens)
            elif isinstance(step, End):
                self._act = None
                act.ended(step)
                self._end(step)
                return
            else:
                self._timer = asyncio.get_running_loop().call_later(step, self._wake)
                return

    def _wake(self) -> None:
        self._timer = None
        self._advance()

    def _end(self, end: End) -> None:
        if end is End.RESET:
            self.reset()
        elif end is End.CLOSE or not self._keep:
            self._transport.close()
        elif self._buffer:
            asyncio.get_running_loop().call_soon(self._next)


def _body(buffer: bytearray, start: int, headers: dict[bytes, bytes]) -> tuple[bytes | None, int]:
    """Find the body and where it ends; None when more must come. Raises BadHttp."""
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return _chunks(buffer, start)
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > _BODY_MAX:
        raise BadHttp("bad content-length")
    end = start + int(length)
    if len(buffer) < end:
        return None, 0
    return bytes(buffer[start:end]), end


def _chunks(buffer: bytearray, at: int) -> tuple[bytes | None, int]:
    pieces: list[bytes] = []
    while True:
        line = buffer.find(b"\r\n", at)
        if line < 0 or len(buffer) < line + 4:
            return None, 0
        try:
            size = int(bytes(buffer[at:line]).partition(b";")[0], 16)
        except ValueError:
            raise BadHttp("bad chunk size") from None
        if not 0 <= size <= _BODY_MAX or at + size > _BODY_MAX:
            raise BadHttp("the body is too long")
        at = line + 2 + size + 2
        if len(buffer) < at:
            return None, 0
        if size == 0:
            return b"".join(pieces), at
        pieces.append(bytes(buffer[line + 2 : at - 2]))
