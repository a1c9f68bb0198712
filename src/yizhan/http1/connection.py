"""One caller's connection: bytes in, requests out, one at a time.

Theory of operation. A head is read by ``head.py``; the body that follows is cut off by our own framing. What comes
behind it belongs to the next request and is kept, within a bound, until the answer is finished: requests of one
connection are answered strictly in order, by one task each. Deadlines are not timers: the server sweeps over its
connections, about once a second, and asks each one (``sweep``).
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import TYPE_CHECKING, cast

from yizhan.errors import (
    BadHttp,
    CallerGone,
    HeadersTooLarge,
    InternalError,
    Overloaded,
    RequestTimeout,
    StationError,
)
from yizhan.http1.chunked import ChunkedBody
from yizhan.http1.framing import CHUNKED, request_framing
from yizhan.http1.head import REQUESTS, HeadReader, HeadTooLarge, RequestLine
from yizhan.http1.lines import BadFraming
from yizhan.http1.reply import Reply, error_answer
from yizhan.http1.request import Request

if TYPE_CHECKING:
    from yizhan.http1.server import Server

_AHEAD_MAX = 64 * 1024  # read beyond the request being answered, before reading pauses
_HANGUP = getattr(select, "POLLRDHUP", select.POLLHUP)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """The protocol object of one connection; lives as long as its transport."""

    __slots__ = (
        "_accepted",
        "_ahead",
        "_chunked",
        "_deadline",
        "_discarded",
        "_keep_alive",
        "_left",
        "_lingering",
        "_lost",
        "_moved_at",
        "_peer",
        "_read_paused",
        "_reader",
        "_reply",
        "_request",
        "_server",
        "_task",
        "_trusted",
        "loop",
        "sent",
        "transport",
        "write_paused",
    )

    def __init__(self, server: Server) -> None:
        self.loop = server.loop
        self.transport: asyncio.Transport
        self.write_paused = False
        self.sent = 0
        self._server = server
        self._request: Request | None = None
        self._reply: Reply | None = None
        self._task: asyncio.Task[None] | None = None
        self._reader: HeadReader[RequestLine] = HeadReader(server.limits, REQUESTS)
        self._ahead = bytearray()  # what follows the request being answered
        self._chunked: ChunkedBody | None = None
        self._left = 0  # of the body's announced length
        self._keep_alive = True
        self._lingering = False
        self._discarded = 0
        self._lost = False
        self._read_paused = False
        self._deadline = server.now + server.settings.header_timeout_s
        self._accepted = 0  # of ``sent``, at the last sweep
        self._moved_at = 0.0  # the last sweep that saw it change

    # -- asyncio's side ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        server = self._server
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if isinstance(address, tuple) else ""
        self._trusted = server.trusted.trusts(self._peer)
        self.transport.set_write_buffer_limits(high=server.limits.buffer_bytes_max)
        if not server.admit(self):
            self._refuse(Overloaded("too many connections", retry_after_s=1), linger=False)

    def data_received(self, data: bytes) -> None:
        request = self._request
        if self._lingering:
            self._discarded += len(data)
            if self._discarded > self._server.settings.linger_bytes_max:
                self.transport.abort()
            return
        if request is None:
            if self.write_paused:
                self._keep(data)
            else:
                self._take_head(data)
            return
        if not request.complete:
            data = self._take_body(request, data)
        if data:
            self._keep(data)

    def eof_received(self) -> bool:
        # End of input counts as gone while an answer is owed; else it is the proper end of a connection.
        if self._request is not None and self._reply is not None and not self._reply.finished:
            self._gone()
            self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it
        self._lost = True
        self._server.forget(self)
        self._gone()

    def pause_writing(self) -> None:
        self.write_paused = True
        if self._reply is not None:
            self._reply.pressed(pause=True)

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._reply is not None:
            self._reply.pressed(pause=False)
        elif self._ahead:
            self._next()

    # -- requests ------------------------------------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        reader = self._reader
        begun = reader.begun
        try:
            head = reader.feed(data)
            if head is None:
                if reader.begun and not begun:
                    self._deadline = self._server.now + self._server.settings.header_timeout_s
                return
            line, headers, rest = head
            length, self._keep_alive, expects = request_framing(headers, version_1_0=line.version_1_0)
        except HeadTooLarge as error:
            self._refuse(HeadersTooLarge(str(error)))
        except BadFraming as error:
            self._refuse(BadHttp(str(error)))
        except StationError as error:
            self._refuse(error)
        else:
            server = self._server
            peer = server.trusted.client(self._peer, headers) if self._trusted else self._peer
            limit = server.limits.body_bytes_max
            self._take_request(Request(self, line, headers, peer, length, limit, expects), length, rest)

    def _take_request(self, request: Request, length: int, rest: bytes) -> None:
        server = self._server
        self._request = request
        reply = self._reply = Reply(self, request.method == b"HEAD", request.version_1_0)
        if length:
            self._left = length
            self._chunked = ChunkedBody() if length == CHUNKED else None
            self._deadline = server.now + server.settings.body_timeout_s
        if len(server.tasks) >= server.settings.in_flight_max:
            self._keep_alive = False
            self._say(reply, Overloaded("the station is full", retry_after_s=1))
            self._next_or_close(request)
            return
        if rest and length:
            rest = self._take_body(request, rest)
        if rest:
            self._keep(rest)
        self._task = self.loop.create_task(self._answer(request, reply))
        server.tasks.add(self._task)

    # -- bodies --------------------------------------------------------------------------------------------------------

    def _take_body(self, request: Request, data: bytes) -> bytes:
        """Give the request its part of the bytes; return the rest."""
        server = self._server
        self._deadline = server.now + server.settings.body_timeout_s
        if request.failure is not None:
            self._pause_reading()
            return b""
        rest = b""
        chunked = self._chunked
        if chunked is not None:
            piece = chunked.feed(data)
            if chunked.broken:
                request.failed(BadHttp(chunked.broken))
                return b""
            done = chunked.over
            rest = chunked.rest
        else:
            piece = data
            if len(data) > self._left:
                piece, rest = data[: self._left], data[self._left :]
            self._left -= len(piece)
            done = self._left == 0
        if piece:
            server.body_bytes += len(piece)
            request.arrived(piece)
        if done:
            request.completed()
            return rest
        if server.body_bytes > server.settings.body_memory_max:
            request.failed(Overloaded("the station's memory for requests is full", retry_after_s=1))
        if request.held >= server.limits.buffer_bytes_max and not request.waiting:
            self._pause_reading()
        return b""

    def wanted(self) -> None:
        """Go on reading: somebody waits for the body."""
        request = self._request
        if request is None:
            return
        if request.expects_continue and not request.received and self._reply is not None and not self._reply.started:
            request.expects_continue = False
            self.sent += len(_CONTINUE)
            self.transport.write(_CONTINUE)
        if self._read_paused:
            self._deadline = self._server.now + self._server.settings.body_timeout_s
            self._resume_reading()

    def taken(self, size: int) -> None:
        """Note that bytes of the body left our hands."""
        self._server.body_bytes -= size

    def _keep(self, data: bytes) -> None:
        self._ahead += data
        if len(self._ahead) >= _AHEAD_MAX:
            self._pause_reading()

    # -- answering -----------------------------------------------------------------------------------------------------

    async def _answer(self, request: Request, reply: Reply) -> None:
        try:
            await self._server.handler(request, reply)
            if not reply.finished and not reply.gone:
                raise RuntimeError("the handler returned without ending its answer")  # noqa: TRY301
        except StationError as error:
            if reply.started and not reply.gone:
                self._server.on_error(error)
            self._fail(reply, error)
        except Exception as error:
            self._server.on_error(error)
            self._fail(reply, InternalError("the station failed; this is its fault and has been logged"))
        finally:
            reply.abort()  # does nothing when the answer is finished
            self._finish(request)

    def _fail(self, reply: Reply, error: StationError) -> None:
        if not reply.started and not self._lost:
            self._say(reply, error)

    def _say(self, reply: Reply, error: StationError) -> None:
        make = self._server.request_id
        reply.send(*error_answer(error, None if make is None else make()))

    def _finish(self, request: Request) -> None:
        server = self._server
        server.body_bytes -= request.held
        if self._task is not None:
            server.finished(self._task)
            self._task = None
        self._next_or_close(request)

    def _next_or_close(self, request: Request) -> None:
        if self._reply is not None:
            self._reply.detach()
        self._request = self._reply = None
        if self._lost or self._lingering or self.transport.is_closing():
            return
        if not self._keep_alive or not request.complete or self._server.draining:
            self.hang_up(linger=not request.complete)
            return
        self._deadline = self._server.now + self._server.settings.keepalive_s
        if not self.write_paused:  # else the next answer would be piled upon this one
            self._next()

    def _next(self) -> None:
        if self._read_paused:
            self._resume_reading()
        if self._ahead:
            data = bytes(self._ahead)
            self._ahead.clear()
            self._take_head(data)

    def head_end(self, *, keep: bool) -> bytes:
        """Give the Date and Connection headers and the head's end; decides whether the connection is kept."""
        request, server = self._request, self._server
        if not keep or request is None or not request.complete or server.draining:
            self._keep_alive = False
        if not self._keep_alive:
            return b"connection: close\r\n" + server.head_end
        assert request is not None
        return b"connection: keep-alive\r\n" + server.head_end if request.version_1_0 else server.head_end

    def _refuse(self, error: StationError, *, linger: bool = True) -> None:
        """Answer what is no request, and close."""
        self._ahead.clear()
        reply = Reply(self, False, False)
        self._say(reply, error)
        reply.detach()
        self.hang_up(linger=linger)

    def hang_up(self, *, linger: bool = False) -> None:
        """Close after what was written has gone out.

        Where more input may come it is read and thrown away for a while: closing on unread bytes would reset the
        connection, and could take the answer away from the caller.
        """
        if self._lost or self._lingering or self.transport.is_closing():
            return
        self._keep_alive = False
        if self._request is not None and not self._request.complete:
            linger = True
        if not linger and not self._ahead and not self._read_paused:
            self.transport.close()
            return
        self._ahead.clear()
        self._lingering = True
        self._deadline = self._server.now + self._server.settings.linger_s
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self._read_paused:
            self._resume_reading()

    # -- what time brings ----------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """See to what is overdue, and to a caller that left while we were not reading."""
        if self._stalled(now) or (self._read_paused and self._hung_up()):
            self._gone()
            self.transport.abort()
            return
        request = self._request
        if request is not None:
            if now >= self._deadline and not request.complete and not self._read_paused:
                request.failed(RequestTimeout("the body came too slowly"))
        elif now >= self._deadline:
            if self._lingering:
                self.transport.abort()
            elif self._reader.begun:
                self._refuse(RequestTimeout("the request came too slowly"))
            else:
                self.transport.close()

    def close_if_idle(self) -> None:
        """Close a connection that owes no answer."""
        if self._request is None and not self._lingering:
            self.transport.close()

    def _stalled(self, now: float) -> bool:
        waiting = self.transport.get_write_buffer_size()
        accepted = self.sent - waiting
        if not waiting or accepted != self._accepted:
            self._accepted = accepted
            self._moved_at = now
            return False
        return now - self._moved_at >= self._server.settings.write_stall_s

    def _hung_up(self) -> bool:
        """Ask the kernel: the loop does not tell while reading is paused."""
        found: socket.socket | None = self.transport.get_extra_info("socket")
        if found is None or found.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(found.fileno(), _HANGUP)
        return bool(poll.poll(0))

    def _gone(self) -> None:
        if self._request is not None and self._reply is not None:
            self._request.failed(CallerGone("the caller has left"))
            self._reply.leave()

    def _pause_reading(self) -> None:
        if not self._read_paused and not self.transport.is_closing():
            self._read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        self._read_paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()
