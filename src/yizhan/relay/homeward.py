"""A stream on its way home: bytes to the caller as they come, the bill closed before the last of them."""

from __future__ import annotations

from yizhan.errors import StationError
from yizhan.http1.client import Answer
from yizhan.http1.headers import caller_headers
from yizhan.http1.message import Headers
from yizhan.http1.reply import Reply
from yizhan.protocols.openai_chat import error_event
from yizhan.protocols.openai_chat_stream import StreamReader
from yizhan.relay import metering
from yizhan.relay.metering import Meter
from yizhan.relay.ports import Ports

HEARTBEAT = b": waiting for the upstream\n\n"


class StreamEnded(Exception):
    """Nothing more of the upstream's stream is wanted."""


class Homeward:
    """Takes an upstream's stream piece by piece. ``left``: the caller is gone, and the rest is read for the bill."""

    __slots__ = ("_drained", "_meter", "_over", "_ports", "_reply", "_request_id", "answer", "left", "reader")

    def __init__(self, ports: Ports, reply: Reply, meter: Meter, *, request_id: str, withhold_usage: bool) -> None:
        self._ports = ports
        self._reply = reply
        self._meter = meter
        self._request_id = request_id
        self.reader = StreamReader(withhold_usage=withhold_usage, frame_bytes_max=ports.settings.frame_bytes_max)
        self.answer: Answer | None = None
        self.left = False
        self._drained = 0
        self._over = False  # settled: nothing more is wanted

    def take(self, piece: bytes) -> None:
        """Take bytes from the upstream; raises StreamEnded when no more are wanted."""
        if not self._over:  # else it is what follows [DONE]
            self._forward(self.reader.feed(piece), len(piece))

    def finish(self) -> None:
        """Take the end of the upstream's bytes."""
        if not self._over:
            self._forward(self.reader.end(), 0)

    def cut_short(self, error: StationError) -> None:
        """End a stream that broke off: the bill first, then exactly one error event."""
        counted = self.reader.count.tokens()
        self._over = True
        self._meter.settle(
            metering.UPSTREAM_TRUNCATED,
            reported=self.reader.usage,
            counted=counted or None,  # nothing delivered costs nothing
            http_status=200,
            error_code=error.code,
        )
        if not self.left and self._reply.started:
            self._reply.end(error_event(error, request_id=self._request_id))

    def heartbeat(self) -> None:
        """Open the stream before its upstream answers, or keep it open: clients skip comments."""
        self._start()
        self._reply.write(HEARTBEAT)

    def progress(self) -> None:
        """Journal what the stream would cost if this process ended now."""
        self._meter.progress(self.reader.count.tokens())

    def _forward(self, out: bytes, size: int) -> None:
        reader = self.reader
        if reader.done or reader.broken:
            self._finish(out)
        elif self.left:
            self._drained += size
            if self._drained > self._ports.settings.caller_drain_bytes:
                raise StreamEnded
        elif out:
            if self._meter.first_byte_ms < 0:
                self._meter.began()
                self._start()
            self._reply.write(out)

    def _finish(self, out: bytes) -> None:
        if self._meter.first_byte_ms < 0 and self.reader.began:
            self._meter.began()
        if self.reader.done:
            self._end(metering.CALLER_LEFT if self.left else metering.OK, out)
            return
        if out:  # the upstream's own error event is the one the caller gets
            self._end(metering.UPSTREAM_TRUNCATED, out, error_code="upstream_error_event")
        raise StreamEnded

    def _end(self, status: str, out: bytes, *, error_code: str = "") -> None:
        reader = self.reader
        self._over = True
        self._meter.settle(
            status, reported=reader.usage, counted=reader.count.tokens(), http_status=200, error_code=error_code
        )
        if not self.left:
            self._start()
            self._reply.end(out)

    def _start(self) -> None:
        if not self._reply.started:
            self._reply.start(200, home_headers(self.answer, self._request_id))


def home_headers(answer: Answer | None, request_id: str) -> Headers:
    """List the headers of an answer: what may pass of the upstream's, and ours."""
    passed = [(b"content-type", b"text/event-stream")] if answer is None else caller_headers(answer.headers)
    return [*passed, (b"x-request-id", request_id.encode()), *CORS]


CORS: Headers = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"*")]
