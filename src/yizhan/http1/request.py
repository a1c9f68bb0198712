"""One request: its head, and its body as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from yizhan.errors import BodyTooLarge, StationError
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
        "_complete",
        "_failure",
        "_held",
        "_length",
        "_limit",
        "_pieces",
        "_received",
        "_source",
        "_waiter",
        "_wake_at",
        "expects_continue",
        "headers",
        "method",
        "path",
        "peer",
        "query",
        "target",
        "version_1_0",
    )

    def __init__(
        self,
        source: Source,
        *,
        method: bytes,
        target: bytes,
        headers: Headers,
        peer: str,
        version_1_0: bool,
        length: int,
        limit: int,
        expects_continue: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.peer = peer  # the client's address, after trusted proxies
        self.version_1_0 = version_1_0
        self.expects_continue = expects_continue
        path, _, self.query = target.partition(b"?")
        if path[:1] != b"/":  # absolute form, http://host/path: the server let nothing else through
            path = b"/" + path.split(b"://", 1)[1].partition(b"/")[2]
        self.path = path
        self._source = source
        self._length = length  # what the head says; below zero: unknown
        self._limit = limit
        self._pieces: list[bytes | bytearray] = []
        self._received = 0  # body bytes that ever arrived
        self._held = 0  # of those, held here
        self._complete = length == 0
        self._failure: StationError | None = None
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
        if not self._complete:
            self._source.wanted()
            if not self._complete and self._failure is None and self._received <= limit:
                await self._arrival(limit + 1)
        if self._failure is not None:
            raise self._failure
        if self._received > limit:
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
            if self._received > self._limit:
                raise BodyTooLarge(f"the body is over the limit of {self._limit} bytes")
            while self._pieces:
                piece = self._pieces.pop(0)
                self._held -= len(piece)
                self._source.taken(len(piece))
                yield bytes(piece)
            if self._failure is not None:
                raise self._failure
            if self._complete:
                return
            self._source.wanted()
            await self._arrival(self._received + 1)

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
        self._received += size
        self._held += size
        if self._received >= self._wake_at:
            self._wake()

    def completed(self) -> None:
        """Mark the body's end."""
        self._complete = True
        self._wake()

    def failed(self, failure: StationError) -> None:
        """Tell whoever reads, now or later, that the body will not be whole."""
        if not self._complete and self._failure is None:
            self._failure = failure
            self._wake()

    @property
    def complete(self) -> bool:
        """Whether the whole body arrived."""
        return self._complete

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for more of the body."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def broken(self) -> bool:
        """Whether the body will never be whole."""
        return self._failure is not None

    @property
    def held(self) -> int:
        """Bytes of the body held in memory."""
        return self._held

    @property
    def received(self) -> int:
        """Bytes of the body that arrived."""
        return self._received

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
