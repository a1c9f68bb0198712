"""One answer on its way to the caller."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

import msgspec

from yizhan.errors import StationError
from yizhan.http1.lines import WrittenLines
from yizhan.http1.message import Headers

_JOIN_MAX = 64 * 1024  # pieces above this are handed over as they are; copying them costs more than a second buffer
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in HTTPStatus  # the phrase means nothing to programs, but people read traces
}
# What the server says itself; copies among a handler's headers are left out.
_OWN = frozenset({b"connection", b"content-length", b"date", b"keep-alive", b"transfer-encoding"})
_lines = WrittenLines(own=_OWN, refused=False)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Line(Protocol):
    """What an answer needs of the connection it goes out on."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    write_paused: bool
    sent: int  # bytes ever handed to the transport

    def head_end(self, *, keep: bool) -> bytes:
        """Give the Date and Connection headers and the head's end; decides whether the connection is kept."""

    def hang_up(self) -> None:
        """Close after what was written has gone out."""


class Reply:
    """The answer to one request. Either ``send`` once, or ``start``, ``write`` …, ``end``; ``abort`` at any time.

    After the caller has gone (``gone``), everything written is dropped silently: what is to happen then is decided
    by whoever listens to ``on_gone``, not at each write.
    """

    __slots__ = (
        "_accepted",
        "_body_written",
        "_chunked",
        "_head",
        "_head_only",
        "_left",
        "_line",
        "_on_gone",
        "_pause",
        "_resume",
        "_version_1_0",
        "finished",
        "gone",
        "started",
    )

    def __init__(self, line: Line, head_only: bool, version_1_0: bool) -> None:  # noqa: FBT001 - as for Request
        self.started = False
        self.finished = False
        self.gone = False
        self._line: Line | None = line
        self._head_only = head_only
        self._version_1_0 = version_1_0
        self._head = b""  # built, but waiting to leave together with the first piece
        self._chunked = False
        self._left: int | None = None  # of an announced length, bytes still owed
        self._body_written = 0
        self._accepted = 0
        self._on_gone: Callable[[], None] | None = None
        self._pause: Callable[[], None] | None = None
        self._resume: Callable[[], None] | None = None

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer at once, in one write. Content-Length, Date and Connection are added; headers naming them ignored."""
        assert not self.started, "an answer is started once"
        bodiless = status in {204, 304} or status < 200
        head = self._build(status, headers, b"" if bodiless else b"content-length: %d\r\n" % len(body))
        self.started = self.finished = True
        if self.gone:
            return
        if not body or bodiless or self._head_only:
            self._put(head)
            return
        self._body_written = len(body)
        if len(body) <= _JOIN_MAX:
            self._put(head + body)
        else:
            self._put_many([head, body])

    def start(self, status: int, headers: Headers, *, length: int | None = None) -> None:
        """Begin an answer. Without a length the body is chunked (to HTTP/1.0: ends with the connection)."""
        assert not self.started, "an answer is started once"
        if status in {204, 304} or status < 200:
            self._head_only = True
            framing = b""
        elif length is not None:
            self._left = length
            framing = b"content-length: %d\r\n" % length
        elif self._version_1_0:
            framing = b""
        else:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        head = self._build(status, headers, framing)
        self.started = True
        if self._line is not None and not self.gone:
            self._head = head
            self._line.loop.call_soon(self._put_head)  # if the first piece does not follow at once

    def write(self, data: bytes) -> None:
        """Write a piece of the body. Never waits; ``on_pressure`` says when to slow down."""
        assert self.started, "write before start"
        assert not self.finished, "write after end"
        if self.gone or not data or self._head_only:
            return
        self._put_piece(data, b"")

    def end(self, data: bytes = b"") -> None:
        """Write the last piece, if any, and end the answer; both leave in one write."""
        assert self.started, "end before start"
        assert not self.finished, "end after end"
        self.finished = True
        if self.gone or self._line is None:
            return
        if self._head_only:
            self._put_head()
            return
        if self._left is not None and self._left != len(data):
            self.finished = False
            self.abort()
            raise ValueError(f"an answer ended {self._left - len(data)} bytes before its announced length")
        if data or self._chunked:
            self._put_piece(data, b"0\r\n\r\n" if self._chunked else b"")
        else:
            self._put_head()

    def abort(self) -> None:
        """Close without the proper end, so that the caller sees a broken answer and not a short one.

        What was written before still goes out, except to HTTP/1.0, where only a reset can be told from an end.
        """
        line = self._line
        if line is None or self.finished:
            return
        self.started = self.finished = True
        if self.gone:
            return
        if self._version_1_0 and not self._chunked and self._left is None:
            found: socket.socket | None = line.transport.get_extra_info("socket")
            if found is not None and found.family != socket.AF_UNIX:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            line.transport.abort()
            return
        self._put_head()
        line.hang_up()

    @property
    def delivered(self) -> int:
        """Body bytes the kernel accepted for the caller so far; never more than it did, seldom a little less."""
        self._sample()
        return self._accepted

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back once, soon after the caller left before the answer's end; soon if that has already happened."""
        self._on_gone = callback
        if callback is not None and self.gone and self._line is not None:
            self._line.loop.call_soon(self._tell_gone)

    def on_pressure(self, pause: Callable[[], None] | None, resume: Callable[[], None] | None) -> None:
        """Call ``pause`` when more waits to be written than should, ``resume`` when it has gone out."""
        self._pause = pause
        self._resume = resume
        if pause is not None and self._line is not None and self._line.write_paused:
            pause()

    # -- the server's side ---------------------------------------------------------------------------------------------

    def pressed(self, *, pause: bool) -> None:
        """Pass on that the transport is full, or no longer."""
        callback = self._pause if pause else self._resume
        if callback is not None and not self.finished:
            callback()

    def leave(self) -> None:
        """Note that the caller has gone; the connection is still there to be asked what it accepted."""
        if self.gone or self.finished:
            return
        self._sample()
        self.gone = True
        self._head = b""
        if self._on_gone is not None and self._line is not None:
            self._line.loop.call_soon(self._tell_gone)

    def detach(self) -> None:
        """Cut the answer off from the connection: nobody can write into the next one's answer."""
        self._sample()
        self._line = self._on_gone = self._pause = self._resume = None
        self.finished = True

    def _build(self, status: int, headers: Headers, framing: bytes) -> bytes:
        line = self._line
        assert line is not None
        keep = framing != b"" or self._head_only or status in {204, 304}  # else the connection's end is the body's
        parts = [_lines[header] for header in headers]
        parts += (framing, line.head_end(keep=keep))
        return (_STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status) + b"".join(parts)

    def _put_piece(self, data: bytes, tail: bytes) -> None:
        line = self._line
        if line is None:
            return
        size = len(data)
        if self._left is not None:
            if size > self._left:
                raise ValueError("an answer went over its announced length")
            self._left -= size
        self._body_written += size
        head, self._head = self._head, b""
        if size > _JOIN_MAX:
            pieces = [head, data]
            if self._chunked:
                pieces = [head + b"%x\r\n" % size, data, b"\r\n" + tail]
            self._put_many(pieces)
        elif not self._chunked:
            self._put(head + data)
        elif size:
            self._put(b"%b%x\r\n%b\r\n%b" % (head, size, data, tail))
        else:
            self._put(head + tail)

    def _put_head(self) -> None:
        if self._head and not self.gone:
            head, self._head = self._head, b""
            self._put(head)

    def _put(self, data: bytes) -> None:
        line = self._line
        if line is not None and not line.transport.is_closing():  # it closes itself on errors, and tells later
            line.sent += len(data)
            line.transport.write(data)

    def _put_many(self, pieces: list[bytes]) -> None:
        line = self._line
        if line is not None and not line.transport.is_closing():
            line.sent += sum(map(len, pieces))
            line.transport.writelines(pieces)

    def _sample(self) -> None:
        line = self._line
        if line is not None and not self.gone and not line.transport.is_closing():  # closed, it says 0 waits
            accepted = self._body_written - line.transport.get_write_buffer_size()
            self._accepted = max(self._accepted, accepted)

    def _tell_gone(self) -> None:
        callback, self._on_gone = self._on_gone, None
        if callback is not None:
            callback()


def error_answer(error: StationError, request_id: str | None) -> tuple[int, Headers, bytes]:
    """Say an error in OpenAI's shape, for what goes wrong before anybody knows the caller's protocol."""
    said = {"message": str(error), "type": error.kind, "param": error.param, "code": error.code}
    headers: Headers = [(b"content-type", b"application/json")]
    if request_id is not None:
        headers.append((b"x-request-id", request_id.encode()))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    return error.status, headers, msgspec.json.encode({"error": said})
