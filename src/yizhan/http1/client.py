"""The HTTP/1.1 client: one request out, one answer back, over connections that are kept."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable

from yizhan.http1.answer import Answer
from yizhan.http1.deadlines import Sweeper
from yizhan.http1.dial import dial, verifying
from yizhan.http1.dns import Resolver
from yizhan.http1.lines import WrittenLines
from yizhan.http1.message import ConnectFailed, Headers, Limits, NoAnswer, TooSlow, TransferFailed
from yizhan.http1.origin import Origin, Timeouts
from yizhan.http1.outgoing import Connection
from yizhan.http1.pool import Pool, Stable
from yizhan.http1.upload import begin_upload

__all__ = ["Answer", "Client", "Origin", "Timeouts"]

_OURS = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"te", b"upgrade", b"expect"})
_BODYLESS = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"})
_REQUEST_LINE = re.compile(rb"(?!CONNECT )[A-Za-z]+ /[!-~]* HTTP/1\.1\r\n")
_lines = WrittenLines(own=_OURS, refused=True)


class Client:
    """Sends requests. Made inside a running loop; bounded in connections, waiters, bytes and time."""

    __slots__ = ("_closed", "_limits", "_loop", "_pool", "_resolver", "_sweeper", "_tls")

    def __init__(
        self,
        *,
        limits: Limits,
        pool_origin_max: int,
        pool_idle_max: int,
        waiters_max: int = 1000,
        idle_s: float = 50,  # most servers keep a connection for 60 s or more; closing first avoids the race
        tick_s: float = 0.05,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """``tls`` is for origins that name none of their own; None verifies against the system's authorities."""
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._pool = Pool(
            self._loop, origin_max=pool_origin_max, idle_max=pool_idle_max, waiters_max=waiters_max, idle_s=idle_s
        )
        self._sweeper = Sweeper(self._loop, tick_s=tick_s, expire_idle=self._pool.expire)
        self._tls = tls or verifying()
        self._closed = False
        self._resolver = resolver or Resolver(self._loop)

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._pool.live)

    @property
    def idle(self) -> int:
        """Connections kept for later."""
        return self._pool.idle_count

    async def send(
        self,
        origin: Origin,
        *,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes | AsyncIterator[bytes] = b"",
        timeouts: Timeouts,
        proxy: str | None = None,
        length: int | None = None,
        tls: ssl.SSLContext | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        """Send a request and return at the head of its answer. Cancelling closes the connection.

        ``on_sent`` is called when the request is on its way: from then on the upstream may act on it.

        ``length`` announces a streamed body's size; without it the body goes in chunks. A request is sent a second
        time only if a kept connection turns out closed with no byte of an answer. Raises ConnectFailed, NoAnswer,
        Truncated, TooSlow, what the body's iterator raises, and ValueError for a request that is not HTTP.
        """
        stable = self._pool.stable((origin, proxy, tls))
        plain = body if isinstance(body, bytes) else b""
        streamed = not isinstance(body, bytes)
        head = request_head(method, target, headers, host=stable.host, size=length if streamed else len(plain))
        total_at = self._loop.time() + timeouts.total_s
        connection = self._pool.take(stable) or await self._connect(stable, timeouts, fresh=False)
        while True:
            answer = Answer(connection, self._sweeper, timeouts, self._loop, total_at, self._limits.buffer_bytes_max)
            connection.start(answer, head, plain, to_head=method == b"HEAD", streamed=streamed)
            if on_sent is not None:
                on_sent()
            if not isinstance(body, bytes) and not answer.ended:
                answer.upload = begin_upload(connection, answer, body, length=length)
            try:
                await answer.head()
            except NoAnswer:
                if streamed or not connection.used or not connection.silent:
                    raise
                stable = self._pool.stable(stable.key)
                connection = await self._connect(stable, timeouts, fresh=True)
            else:
                return answer

    async def close(self) -> None:
        """Close every connection, running exchanges included, and open no more."""
        self._closed = True
        for connection in list(self._pool.live):
            if connection.answer is not None:
                connection.fail(connection.answer, TransferFailed("the client is closing"))
            connection.drop()
        self._sweeper.stop()
        await self._resolver.close()
        await asyncio.sleep(0.001)  # transports close in the loop's next turns

    async def _connect(self, stable: Stable, timeouts: Timeouts, *, fresh: bool) -> Connection:
        """Open a connection, or take one that comes free first unless it must be fresh."""
        try:
            async with asyncio.timeout(min(timeouts.connect_s, timeouts.total_s)):
                connection = await self._pool.claim(stable)
                while connection is not None:
                    if not fresh:
                        return connection
                    connection.drop()
                    connection = await self._pool.claim(stable)
                try:
                    opened = await self._open(stable)
                except BaseException:
                    self._pool.vacate(stable)
                    raise
        except TimeoutError:
            raise TooSlow("connect") from None
        return opened

    async def _open(self, stable: Stable) -> Connection:
        origin, proxy, tls = stable.key

        def make() -> Connection:
            return Connection(self._pool, self._limits, stable)

        connection = await dial(origin, make, proxy=proxy, tls=tls or self._tls, resolver=self._resolver)
        if self._closed:
            connection.drop()
        if connection.closed:
            raise ConnectFailed(f"{origin.host} closed the connection at once")
        self._pool.live.add(connection)
        return connection


def request_head(method: bytes, target: bytes, headers: Headers, *, host: bytes, size: int | None) -> bytes:
    """Write a request's head; ``size`` None means chunks. Raises ValueError for what could split a request in two."""
    start = b"%b %b HTTP/1.1\r\n" % (method, target)
    if _REQUEST_LINE.fullmatch(start) is None:
        raise ValueError("the request line cannot be read")
    lines = b"".join([_lines[header] for header in headers])
    if not lines.startswith(b"host:") and b"\nhost:" not in lines:  # no line break but the lines' own passes
        start += b"host: %b\r\n" % host
    if size is None:
        return b"%b%btransfer-encoding: chunked\r\n\r\n" % (start, lines)
    if size or method not in _BODYLESS:
        return b"%b%bcontent-length: %d\r\n\r\n" % (start, lines, size)
    return b"%b%b\r\n" % (start, lines)
