"""The HTTP/1.1 server of the data plane. It knows requests and answers, and nothing of what they are about."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

import msgspec

from yizhan.clock import Clock, SystemClock
from yizhan.http1.connection import Connection
from yizhan.http1.forwarded import TrustedProxies
from yizhan.http1.message import Limits
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request

Handler = Callable[[Request, Reply], Awaitable[None]]

_MB = 1024 * 1024


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times and maxima of one server."""

    connections_max: int = 10_000
    in_flight_max: int = 4_000
    body_memory_max: int = 512 * _MB  # bodies held at once
    header_timeout_s: float = 15  # for a head to arrive
    body_timeout_s: float = 30  # longest silence within a body
    keepalive_s: float = 75
    write_stall_s: float = 120  # a caller that takes nothing for so long is gone
    linger_s: float = 5  # input is still read so long after an early answer,
    linger_bytes_max: int = 16 * _MB  # and so much of it
    trusted_proxies: str = ""  # comma-separated CIDRs
    sweep_s: float = 1  # deadlines are looked at so often; none passes early, all up to this late


def log_error(error: Exception) -> None:
    """Log what a handler let escape."""
    logging.getLogger("yizhan.http1").error("a request failed: %r", error, exc_info=error)


class Server:
    """Accepts connections and runs the handler for each request in a task of its own.

    A request that fails ends itself and nobody else. The server owns the tasks, also of callers who have left, until
    ``drain`` has seen them end.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits | None = None,
        settings: ServerSettings | None = None,
        clock: Clock | None = None,
        on_error: Callable[[Exception], None] = log_error,
        request_id: Callable[[], str] | None = None,
    ) -> None:
        """``request_id`` makes the x-request-id of answers that no handler gave."""
        self.handler = handler
        self.limits = limits or Limits()
        self.settings = settings or ServerSettings()
        self.on_error = on_error
        self.request_id = request_id
        self.trusted = TrustedProxies(self.settings.trusted_proxies)
        self.draining = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.body_bytes = 0  # of request bodies held by all requests
        self.now = 0.0  # the loop's time at the last sweep: near enough for deadlines, and free
        self.head_end = b""  # of every answer: the Date, and an empty line
        self.loop: asyncio.AbstractEventLoop
        self._clock = clock or SystemClock()
        self._listening: list[asyncio.Server] = []
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Event = asyncio.Event()

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._open)

    @property
    def in_flight(self) -> int:
        """Requests being answered now."""
        return len(self.tasks)

    async def serve(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Start to accept on a bound socket; returns at once. Several sockets may be served."""
        self.loop = asyncio.get_running_loop()
        if self._sweeper is None:
            self._sweep()
        timeout = self.settings.header_timeout_s if tls else None
        listen = self.loop.create_unix_server if sock.family == socket.AF_UNIX else self.loop.create_server
        self._listening.append(
            await listen(
                lambda: Connection(self),
                sock=sock,
                ssl=tls,
                backlog=1024,
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=timeout,
            )
        )

    async def drain(self, grace_s: float) -> None:
        """Stop: accept nothing more, close what is idle, let running requests finish, then abort the rest."""
        self.draining = True
        for listening in self._listening:
            listening.close()
        self._listening.clear()
        for connection in list(self._open):
            connection.close_if_idle()
        try:
            async with asyncio.timeout(grace_s):
                await self._all_quiet()
        except TimeoutError:
            for connection in list(self._open):
                connection.transport.abort()
            for task in list(self.tasks):
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await self._all_quiet()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def _all_quiet(self) -> None:
        while self._open or self.tasks:
            self._quiet.clear()
            await self._quiet.wait()

    # -- the connections' side -----------------------------------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, unless there are too many."""
        if len(self._open) >= self.settings.connections_max or self.draining:
            return False
        self._open.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        self._open.discard(connection)
        self._quiet.set()

    def finished(self, task: asyncio.Task[None]) -> None:
        """Let go of a request's task, which is about to end."""
        self.tasks.discard(task)
        if not self.tasks:
            self._quiet.set()

    def _sweep(self) -> None:
        self.now = self.loop.time()
        date = email.utils.formatdate(self._clock.now_ms() / 1000, usegmt=True)
        self.head_end = b"date: %b\r\n\r\n" % date.encode()
        self._sweeper = self.loop.call_later(self.settings.sweep_s, self._sweep)
        overdue = self.now - self.settings.sweep_s  # what was armed since the last sweep was armed with an old time
        for connection in list(self._open):
            try:
                connection.sweep(overdue)
            except Exception as error:
                self.on_error(error)
