"""One connection to an upstream: a request out, an answer in, and where the answer ends.

Idle -> head -> body -> done -> idle again (back in the pool) or closed. llhttp reads heads and unwraps chunks; where
the body ends is ours to say (answer_framing), because llhttp believes that an answer to HEAD has a body, that one
without a length never ends, and knows nothing of the request.
"""

from __future__ import annotations

import asyncio
import ssl
from enum import IntEnum
from typing import Protocol, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from yizhan.http1.answer import Answer
from yizhan.http1.answer_framing import CHUNKED, UNTIL_CLOSE, BadFraming, body_length
from yizhan.http1.message import Headers, Limits, NoAnswer, Truncated, first

_ONE_WRITE = 64 * 1024  # up to here head and body are joined and leave together; above, copying costs more
_SLICE = 256 * 1024


class _Stage(IntEnum):
    IDLE = 0
    HEAD = 1
    BODY = 2
    DONE = 3


_IDLE, _HEAD, _BODY, _DONE = _Stage


class Home(Protocol):
    """Where a connection goes back to."""

    def release(self, connection: Connection) -> None:
        """Take a connection whose exchange ended cleanly."""

    def forget(self, connection: Connection) -> None:
        """Take notice that a connection is gone."""


class Connection(asyncio.Protocol):
    """One upstream connection. Carries one exchange at a time."""

    __slots__ = (
        "_barren",
        "_drain",
        "_fault",
        "_headers",
        "_home",
        "_keep",
        "_left",
        "_limits",
        "_parser",
        "_parser_spent",
        "_reading",
        "_rest",
        "_stage",
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
        self._parser = HttpResponseParser(self)
        self._parser_spent = False
        self._stage: _Stage = _IDLE
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._headers: Headers = []
        self._barren = 0  # bytes since the last byte of a body: bounds heads, 1xx, chunk extensions, trailers alike
        self._left = 0
        self._keep = True
        self._fault: BaseException | None = None
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
        if self._parser_spent:
            self._parser = HttpResponseParser(self)
        self._parser_spent = self._to_head = to_head
        self.answer = answer
        self._stage = _HEAD
        self._barren = 0
        self._keep = True
        self._fault = None
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
        if self._stage is _BODY:
            answer.moved = True
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:  # a fault of ours, not of the answer
            self._fault = self._fault or error.__context__ or error
        except (HttpParserError, HttpParserUpgrade) as error:
            # What follows a complete answer is not parsed for its own sake: it only means the connection is spent.
            self._keep = False
            if self._stage is not _DONE:
                self._fault = self._fault or Truncated(f"the answer is not HTTP: {error}")
        if self.answer is not answer:
            return  # the sink closed us
        if self._fault is None and self._barren > self._limits.header_bytes_max and self._stage is not _DONE:
            self._fault = Truncated("the answer's head, trailers or chunk extensions are too long")
        if self._fault is not None:
            self.fail(answer, self._fault)
        elif self._stage is _DONE:
            self._finish(answer)

    # -- the parser's calls --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._stage is _HEAD:
            self._headers = []
        else:
            self._keep = False  # bytes after the answer

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage is _HEAD:
            self._headers.append((name.lower(), value.strip()))
        # otherwise trailers, which come as headers; nobody asked for any, and _barren bounds them

    def on_headers_complete(self) -> None:
        if self._stage is not _HEAD:
            return
        parser, headers, answer = self._parser, self._headers, self.answer
        assert answer is not None
        status, version = parser.get_status_code(), parser.get_http_version()
        if status < 200:
            if status == 101 or status < 100:
                self._break(f"the answer has the status {status}")
            return  # 1xx: the answer proper follows
        if self._too_long(headers):
            self._break("the answer's head is too long")
            return
        try:
            self._left = body_length(headers, to_head=self._to_head, status=status, version=version)
            coding = first(headers, b"content-encoding") if self._left else None
            if coding is not None and (coding := coding.lower()) in {b"", b"identity"}:
                coding = None
            self._keep = self._keep and parser.should_keep_alive()
            self._stop_upload()
            self._stage = _BODY if self._left else _DONE
            answer.begin(status, headers, coding=coding)
        except (BadFraming, Truncated) as error:
            self._break(str(error))

    def on_body(self, data: bytes) -> None:
        if self._stage is not _BODY:
            self._keep = False  # an answer to HEAD with a body
            return
        self._barren = 0
        if self._left > 0:
            self._left -= len(data)
            if self._left == 0:
                self._stage = _DONE
        answer = self.answer
        assert answer is not None
        try:
            answer.take(data)
        except BaseException as error:  # the sink's: raised where pipe() was called
            self._fault = error
            self._stage = _DONE

    def on_message_complete(self) -> None:
        if self._stage is _BODY:
            if self._left == CHUNKED:
                self._stage = _DONE
            else:
                self._break("the answer's end is in doubt")

    def _too_long(self, headers: Headers) -> bool:
        if len(headers) > self._limits.header_count_max:
            return True
        # Never more than what was received: mostly there is nothing to add up.
        return (
            self._barren > self._limits.header_bytes_max
            and sum(len(name) + len(value) + 4 for name, value in headers) > self._limits.header_bytes_max
        )

    def _break(self, why: str) -> None:
        self._fault = Truncated(why)
        self._stage = _DONE

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
        self._stage = _IDLE
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
        self._stage = _DONE
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
        elif self._stage is _BODY and self._left == UNTIL_CLOSE and exc is None and self._said_goodbye():
            self._keep = False
            self._finish(answer)
        elif self._stage is _HEAD and self._barren == 0:
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
