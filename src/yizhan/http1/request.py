"""One request: its head, and its body as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from yizhan.errors import BodyTooLarge, StationError
from yizhan.http1.head import RequestLine
from yizhan.http1.message import Headers

_SMALL = 4096  # pieces below this are gathered, so that a drip of bytes costs bytes and not objects


class Source(Protocol):
    """What a request needs of the connection it came on."""

    def wanted(self) -> None:
        """Somebody begins to read the body."""

    def taken(self, size: int) -> None:
        """Bytes of the body were handed over and are no longer held."""


class Request:
    """What the caller wants. The server fills it; a handler reads it."""

    __slots__ = (
        "_length",
        "_limit",
        "_pieces",
        "_source",
        "_waiter",
        "_wake_at",
        "complete",
        "expects_continue",
        "failure",
        "headers",
        "held",
        "method",
        "path",
        "peer",
        "query",
        "received",
        "target",
        "version_1_0",
    )

    def __init__(  # noqa: PLR0917 - made once a request, in one place; keywords cost
        self,
        source: Source,
        line: RequestLine,
        headers: Headers,
        peer: str,
        length: int,
        limit: int,
        expects_continue: bool,  # noqa: FBT001 - once a request, and from one place
    ) -> None:
        self.method, self.target, self.path, self.query, self.version_1_0 = line
        self.headers = headers
        self.peer = peer  # the client's address, after trusted proxies
        self.expects_continue = expects_continue
        self.complete = length == 0  # the whole body arrived
        self.failure: StationError | None = None  # why it never will
        self.received = 0  # body bytes that ever arrived
        self.held = 0  # of those, held here
        self._source = source
        self._length = length  # what the head says; below zero: unknown
        self._limit = limit
        self._pieces: list[bytes | bytearray] = []
        self._waiter: asyncio.Future[None] | None = None
        self._wake_at = 0  # a waiting reader is woken when so many bytes arrived (or at the end)

    def header(self, name: bytes) -> bytes | None:
        """Find the first value of a header; the name is given in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    async def body(self, limit: int | None = None) -> bytes:
        """Read the whole body; does not suspend when it is already here.

        Raises BodyTooLarge (before reading, where the length is announced), RequestTimeout, CallerGone, BadHttp,
        Overloaded.
        """
        limit = self._limit if limit is None else min(limit, self._limit)
        self._check_length(limit)
        if not self.complete:
            self._source.wanted()
            if not self.complete and self.failure is None and self.received <= limit:
                await self._arrival(limit + 1)
        if self.failure is not None:
            raise self.failure
        if self.received > limit:
            raise BodyTooLarge(f"the body is over the limit of {limit} bytes")
        pieces = self._pieces
        if len(pieces) == 1 and isinstance(pieces[0], bytes):
            return pieces[0]
        whole = b"".join(pieces)
        self._pieces = [whole] if whole else []
        return whole

    async def pieces(self) -> AsyncIterator[bytes]:
        """Stream the body as it arrives; the caller is slowed down to the speed of the reader.

        Raises what ``body`` raises.
        """
        self._check_length(self._limit)
        while True:
            if self.received > self._limit:
                raise BodyTooLarge(f"the body is over the limit of {self._limit} bytes")
            while self._pieces:
                piece = self._pieces.pop(0)
                self.held -= len(piece)
                self._source.taken(len(piece))
                yield bytes(piece)
            if self.failure is not None:
                raise self.failure
            if self.complete:
                return
            self._source.wanted()
            await self._arrival(self.received + 1)

    def _check_length(self, limit: int) -> None:
        if self._length > limit:
            raise BodyTooLarge(f"the body of {self._length} bytes is over the limit of {limit} bytes")

    async def _arrival(self, wake_at: int) -> None:
        assert self._waiter is None, "two readers of one body"
        self._wake_at = wake_at
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # -- the server's side ---------------------------------------------------------------------------------------------

    def arrived(self, data: bytes) -> None:
        """Take a piece of the body."""
        pieces = self._pieces
        size = len(data)
        if pieces and size < _SMALL:
            last = pieces[-1]
            if isinstance(last, bytearray):
                last += data
            else:
                pieces.append(bytearray(data))
        else:
            pieces.append(data)
        self.received += size
        self.held += size
        if self.received >= self._wake_at:
            self._wake()

    def completed(self) -> None:
        """Mark the body's end."""
        self.complete = True
        self._wake()

    def failed(self, failure: StationError) -> None:
        """Tell whoever reads, now or later, that the body will not be whole."""
        if not self.complete and self.failure is None:
            self.failure = failure
            self._wake()

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for more of the body."""
        return self._waiter is not None and not self._waiter.done()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
