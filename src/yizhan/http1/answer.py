"""An upstream's answer, as whoever asked sees it: status, headers, and a body that is read whole or piped on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from yizhan.http1.deadlines import Sweeper
from yizhan.http1.inflate import Inflater
from yizhan.http1.message import Headers, TooLong, TooSlow, TransferFailed
from yizhan.http1.origin import Timeouts

if TYPE_CHECKING:
    from yizhan.http1.outgoing import Connection

Sink = Callable[[bytes], None]


class Answer:
    """One exchange. Owns its connection until the body has ended, failed or been abandoned."""

    __slots__ = (
        "_buffer_max",
        "_connection",
        "_held",
        "_inflater",
        "_loop",
        "_paused",
        "_pieces",
        "_quiet_since",
        "_sink",
        "_sweeper",
        "_timeouts",
        "_total_at",
        "_waiter",
        "ended",
        "fault",
        "headers",
        "moved",
        "source_waits",
        "status",
        "upload",
    )

    def __init__(  # noqa: PLR0917 - made once a request, in one place; keywords cost
        self,
        connection: Connection,
        sweeper: Sweeper,
        timeouts: Timeouts,
        loop: asyncio.AbstractEventLoop,
        total_at: float,
        buffer_max: int,
    ) -> None:
        self.status = 0
        self.headers: Headers = []
        self.ended = False
        self.fault: BaseException | None = None
        self.moved = True  # set by every piece, cleared by the sweeper: cheaper than reading the clock each time
        self.source_waits = False  # the upload waits for whoever sends it, which is not the upstream's fault
        self.upload: asyncio.Task[None] | None = None
        self._connection = connection
        self._sweeper = sweeper
        self._timeouts = timeouts
        self._total_at = total_at
        self._quiet_since = 0.0
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None  # of whoever waits: for the head first, then for the end
        self._pieces: list[bytes] = []
        self._held = 0
        self._buffer_max = buffer_max
        self._sink: Sink | None = None
        self._paused = False
        self._inflater: Inflater | None = None
        sweeper.watch(self)

    # -- for whoever asked ---------------------------------------------------------------------------------------------

    async def read(self, limit: int) -> bytes:
        """Read the whole body. Raises Truncated, TooSlow, or TooLong beyond the limit."""
        pieces = self._pieces
        if not self.ended or self.fault is not None or self._held > limit:
            pieces = []
            room = limit

            def keep(piece: bytes) -> None:
                nonlocal room
                room -= len(piece)
                if room < 0:
                    raise TooLong(f"the answer is longer than {limit} bytes")
                pieces.append(piece)

            await self.pipe(keep)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pipe(self, sink: Sink) -> None:
        """Call the sink with each piece, at once when it comes; return at the body's clean end.

        Raises Truncated or TooSlow. What the sink raises closes the connection and is raised here.
        """
        assert self._sink is None, "an answer is read once"
        self._sink = sink
        pieces, self._pieces = self._pieces, []
        try:
            for piece in pieces:
                sink(piece)
        except BaseException:
            self.close()
            raise
        self._held = 0
        if not self.ended:
            if not self._paused:
                self._connection.resume_reading()
            await self._wait()
        if self.fault is not None:
            raise self.fault

    def pause(self) -> None:
        """Read no more from the upstream for now; what has been read still comes. Stops the idle clock."""
        self._paused = True
        if not self.ended:
            self._connection.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if not self.ended:
            self._connection.resume_reading()

    def close(self) -> None:
        """Abandon the answer: its connection is closed unless the body had ended. May be called again."""
        self._connection.fail(self, TransferFailed("the answer was abandoned"))

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except BaseException:
            self.close()
            raise

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- for the connection --------------------------------------------------------------------------------------------

    async def head(self) -> None:
        """Wait for the head. Raises what ended the exchange before it; cancelling closes the connection."""
        if not self.status and not self.ended:
            await self._wait()
        if self.fault is not None and not self.status:
            raise self.fault

    def begin(self, status: int, headers: Headers, coding: bytes | None) -> None:
        """Take the head; a body under a coding is inflated. Raises Truncated for a coding that cannot be read."""
        if coding is not None:
            self._inflater = Inflater(coding)
            headers = [header for header in headers if header[0] not in {b"content-encoding", b"content-length"}]
        self.status = status
        self.headers = headers
        self.moved = True
        self._wake()

    def take(self, data: bytes) -> None:
        """Take a piece of the body. Raises what the sink raises."""
        if self._inflater is not None:
            for piece in self._inflater.feed(data):
                if not self.ended:  # the sink may have closed us
                    self._hand_on(piece)
        elif self._sink is not None:
            self._sink(data)
        else:
            self._hand_on(data)

    def _hand_on(self, piece: bytes) -> None:
        if self._sink is not None:
            self._sink(piece)
            return
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held >= self._buffer_max:
            self._connection.pause_reading()

    def finish(self, fault: BaseException | None) -> None:
        """End, cleanly or with a fault; only the first counts."""
        if self.ended:
            return
        if fault is None and self._inflater is not None:
            try:
                self._inflater.end()
            except TransferFailed as broken:
                fault = broken
        self.ended = True
        self.fault = fault
        self._sweeper.forget(self)
        if self.upload is not None:
            self.upload.cancel()
        self._wake()

    def check(self, now: float) -> None:
        """End the exchange if a deadline has passed; silence that is ours does not count as the upstream's."""
        if self.moved or self._paused or self.source_waits or self._held >= self._buffer_max:
            self.moved = False
            self._quiet_since = now
        if now >= self._total_at:
            self._connection.fail(self, TooSlow("total"))
        elif self.status:
            if now - self._quiet_since >= self._timeouts.idle_s:
                self._connection.fail(self, TooSlow("idle"))
        elif now - self._quiet_since >= self._timeouts.first_byte_s:
            self._connection.fail(self, TooSlow("first_byte"))
