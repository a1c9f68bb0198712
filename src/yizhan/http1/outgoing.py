"""One connection to an upstream: a request out, an answer in, and where the answer ends.

Idle -> head -> body -> idle again (back in the pool) or closed. What the head says of the body's end is decided with
the request in mind: an answer to HEAD has none.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol, cast

from yizhan.http1.answer import Answer
from yizhan.http1.chunked import ChunkedBody
from yizhan.http1.framing import CHUNKED, UNTIL_CLOSE, answer_framing
from yizhan.http1.head import STATUSES, HeadReader, StatusLine
from yizhan.http1.lines import BadFraming
from yizhan.http1.message import Limits, NoAnswer, Truncated

_ONE_WRITE = 64 * 1024  # up to here head and body are joined and leave together; above, copying costs more
_SLICE = 256 * 1024


class Home(Protocol):
    """Where a connection goes back to."""

    def release(self, connection: Connection) -> None:
        """Take a connection whose exchange ended cleanly."""

    def forget(self, connection: Connection) -> None:
        """Take notice that a connection is gone."""


class Connection(asyncio.Protocol):
    """One upstream connection. Carries one exchange at a time."""

    __slots__ = (
        "_chunked",
        "_drain",
        "_head_bytes",
        "_home",
        "_in_head",
        "_keep",
        "_left",
        "_limits",
        "_reader",
        "_reading",
        "_rest",
        "_to_head",
        "_transport",
        "_uploading",
        "_write_paused",
        "answer",
        "closed",
        "place",
        "silent",
        "used",
    )

    def __init__(self, home: Home, limits: Limits, place: object = None) -> None:
        self.answer: Answer | None = None
        self.closed = False
        self.used = False  # has it carried an exchange before?
        self.silent = False  # did the last exchange end because the peer closed without a byte?
        self.place = place
        self._home = home
        self._limits = limits
        self._reader: HeadReader[StatusLine] = HeadReader(limits, STATUSES)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._in_head = True
        self._head_bytes = 0  # of this exchange, interim answers included: there may be any number of them
        self._left = 0  # of the body: bytes, or CHUNKED or UNTIL_CLOSE
        self._chunked: ChunkedBody | None = None
        self._keep = True
        self._to_head = False
        self._reading = True
        self._write_paused = False
        self._drain: asyncio.Future[None] | None = None
        self._rest: memoryview | None = None
        self._uploading = False

    # -- the request ---------------------------------------------------------------------------------------------------

    def start(self, answer: Answer, head: bytes, body: bytes, *, to_head: bool, streamed: bool) -> None:
        """Send a request; its answer goes to ``answer``. A streamed body follows by write() and end()."""
        assert self.answer is None
        assert not self.closed
        self.answer = answer
        self._to_head = to_head
        self._in_head = True
        self._head_bytes = 0
        self._keep = True
        self._uploading = streamed
        if self._transport.is_closing():  # it died in this very turn of the loop; nobody was told yet
            self._lost(None)
        elif len(body) <= _ONE_WRITE:
            self._transport.write(head + body if body else head)
        else:
            self._transport.write(head)
            self._rest = memoryview(body)
            self._write_rest()

    def write(self, piece: bytes) -> None:
        """Send a piece of a streamed body, framing included."""
        if self._uploading and not self._transport.is_closing():
            self._transport.write(piece)

    def end(self) -> None:
        """Say that the streamed body is complete."""
        self._uploading = False

    async def drained(self) -> None:
        """Wait until the peer takes more."""
        if self._write_paused:
            self._drain = asyncio.get_running_loop().create_future()
            await self._drain

    def _write_rest(self) -> None:
        while self._rest is not None and not self._write_paused and not self._transport.is_closing():
            piece, rest = self._rest[:_SLICE], self._rest[_SLICE:]
            self._rest = rest or None
            if self.answer is not None:
                self.answer.moved = True
            self._transport.write(piece)

    # -- the transport's calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._write_rest()

    def eof_received(self) -> None:
        # The transport closes itself, but only after its write buffer has left, which a dead peer never takes.
        self._lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)

    def data_received(self, data: bytes) -> None:
        answer = self.answer
        if answer is None:
            self.drop()  # nothing was asked
            return
        try:
            if self._in_head:
                rest = self._take_head(answer, data)
                if rest is not None:
                    self._take_body(answer, rest)
            else:
                answer.moved = True
                self._take_body(answer, data)
        except BadFraming as error:
            self.fail(answer, Truncated(f"the answer is not HTTP: {error}"))
        except BaseException as error:  # the sink's: raised where pipe() was called
            self.fail(answer, error)

    def _take_head(self, answer: Answer, data: bytes) -> bytes | None:
        """Read heads up to the answer's own; give what came behind it, or None while it is not there."""
        while True:
            self._head_bytes += len(data)
            head = self._reader.feed(data)
            if head is not None:
                start, headers, data = head
                self._head_bytes -= len(data)
            if self._head_bytes > self._limits.header_bytes_max:
                raise BadFraming("the head is too long")
            if head is None:
                return None
            status = start.status
            if status >= 200:
                break
            if status == 101:
                raise BadFraming("it switches protocols")
            if not data:
                return None
        self._in_head = False
        self._left, keep, coding = answer_framing(
            headers, status=status, to_head=self._to_head, version_1_0=start.version_1_0
        )
        self._chunked = ChunkedBody() if self._left == CHUNKED else None
        self._keep = self._keep and keep
        self._stop_upload()
        answer.begin(status, headers, coding)
        return data

    def _take_body(self, answer: Answer, data: bytes) -> None:
        chunked = self._chunked
        if chunked is not None:
            piece = chunked.feed(data)
            if piece:
                answer.take(piece)
            if not chunked.over:
                return
            if chunked.broken:
                raise BadFraming(chunked.broken)
            if chunked.rest:
                self._keep = False
        elif self._left == UNTIL_CLOSE:
            if data:
                answer.take(data)
            return
        else:
            size = len(data)
            if size > self._left:
                data = data[: self._left]
                size = self._left
                self._keep = False  # bytes after the answer
            self._left -= size
            if size:
                answer.take(data)
            if self._left:
                return
        if self.answer is answer:  # else the sink closed us
            self._finish(answer)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _stop_upload(self) -> None:
        """The answer has begun; if the request has not left yet, its rest never does."""
        if self._rest is not None or self._uploading or self._transport.get_write_buffer_size():
            self._rest = None
            self._uploading = False
            self._keep = False
            if self.answer is not None and self.answer.upload is not None:
                self.answer.upload.cancel()

    def _finish(self, answer: Answer) -> None:
        self.answer = None
        self.used = True
        if not self._reading:
            self.resume_reading()  # idle connections listen for their end
        if self._keep and not self._transport.is_closing():
            self._home.release(self)
        else:
            self.drop()
        answer.finish(None)

    def fail(self, answer: Answer, fault: BaseException) -> None:
        """Break an exchange off and close. Nothing happens if the connection is another exchange's by now."""
        if self.answer is answer:
            self.answer = None
            self.drop()
        answer.finish(fault)

    def drop(self) -> None:
        """Close at once."""
        self._rest = None
        self._uploading = False
        if not self.closed:
            self.closed = True
            self._home.forget(self)
            if self._drain is not None and not self._drain.done():
                self._drain.set_result(None)
            self._transport.abort()

    def _lost(self, exc: BaseException | None) -> None:
        answer = self.answer
        if answer is None:
            self.drop()
        elif not self._in_head and self._left == UNTIL_CLOSE and exc is None and self._said_goodbye():
            self._keep = False
            self._finish(answer)
        elif self._in_head and self._head_bytes == 0:
            self.silent = True
            self.fail(answer, NoAnswer(f"the upstream closed without an answer: {exc or 'end of input'}"))
        else:
            self.fail(answer, Truncated(f"the answer broke off: {exc or 'end of input'}"))

    def _said_goodbye(self) -> bool:
        """Tell an end of input the peer meant from one that anybody on the way can make: TLS knows, TCP does not."""
        tls = self._transport.get_extra_info("ssl_object")
        if tls is None:
            return True
        try:
            return not tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except (OSError, ValueError):
            return False

    # -- backpressure --------------------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()
