"""Connections kept for the next request: by (origin, proxy, TLS), bounded for each and for all."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from yizhan.http1.message import ConnectFailed
from yizhan.http1.origin import Origin
from yizhan.http1.outgoing import Connection

Key = tuple[Origin, str | None, ssl.SSLContext | None]


class Stable:
    """The connections to one origin by one way."""

    __slots__ = ("host", "idle", "key", "open", "waiters")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.host = key[0].host_header
        self.idle: list[Connection] = []  # the last one back goes out first, so the surplus grows old
        self.open = 0  # connections and promises of one
        self.waiters: deque[asyncio.Future[Connection | None]] = deque()


class Pool:
    """All connections of one client."""

    __slots__ = ("_idle", "_idle_max", "_idle_s", "_loop", "_origin_max", "_stables", "_waiters_max", "live")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, origin_max: int, idle_max: int, waiters_max: int, idle_s: float
    ) -> None:
        self._loop = loop
        self._origin_max = origin_max
        self._idle_max = idle_max
        self._waiters_max = waiters_max
        self._idle_s = idle_s
        self._stables: dict[Key, Stable] = {}
        self._idle: dict[Connection, float] = {}  # oldest first, with the time it came back
        self.live: set[Connection] = set()

    @property
    def idle_count(self) -> int:
        """Connections kept for later."""
        return len(self._idle)

    def stable(self, key: Key) -> Stable:
        """Find the connections of one way; claim() or take() must follow without a pause."""
        found = self._stables.get(key)
        if found is None:
            found = self._stables[key] = Stable(key)
        return found

    def take(self, stable: Stable) -> Connection | None:
        """Take an idle connection, the youngest."""
        if not stable.idle:
            return None
        connection = stable.idle.pop()
        del self._idle[connection]
        return connection

    async def claim(self, stable: Stable) -> Connection | None:
        """Wait for leave to open a connection (None), or for one that another exchange gives back.

        Raises ConnectFailed when too many wait already. Leave that is not used goes back by vacate().
        """
        while True:
            if stable.open < self._origin_max:
                stable.open += 1
                self._stables.setdefault(stable.key, stable)  # its last connection may have closed meanwhile
                return None
            if len(stable.waiters) >= self._waiters_max:
                raise ConnectFailed("too many requests wait for a connection to this upstream")
            waiter: asyncio.Future[Connection | None] = self._loop.create_future()
            stable.waiters.append(waiter)
            try:
                connection = await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():  # it had just been served
                    self._decline(stable, waiter.result())
                elif waiter in stable.waiters:
                    stable.waiters.remove(waiter)
                raise
            if connection is None or not connection.closed:
                return connection

    def vacate(self, stable: Stable) -> None:
        """Give back the room of one connection: the next in line may open another."""
        waiter = self._next(stable)
        if waiter is not None:
            waiter.set_result(None)
            return
        stable.open -= 1
        if stable.open == 0 and self._stables.get(stable.key) is stable:
            del self._stables[stable.key]

    def release(self, connection: Connection) -> None:
        """Keep a connection for the next request, or hand it to who waits for one."""
        stable = connection.place
        assert isinstance(stable, Stable)
        waiter = self._next(stable)
        if waiter is not None:
            waiter.set_result(connection)
            return
        stable.idle.append(connection)
        self._idle[connection] = self._loop.time()
        if len(self._idle) > self._idle_max:
            next(iter(self._idle)).drop()

    def forget(self, connection: Connection) -> None:
        """Strike a closed connection off."""
        stable = connection.place
        assert isinstance(stable, Stable)
        if self._idle.pop(connection, None) is not None:
            stable.idle.remove(connection)
        if connection in self.live:  # one that died while it was being opened never took its place
            self.live.remove(connection)
            self.vacate(stable)

    def expire(self, now: float) -> bool:
        """Drop what has been idle too long; say whether any is left."""
        while self._idle:
            connection, since = next(iter(self._idle.items()))
            if now - since < self._idle_s:
                return True
            connection.drop()
        return False

    def _decline(self, stable: Stable, connection: Connection | None) -> None:
        if connection is None:
            self.vacate(stable)
        elif not connection.closed:
            self.release(connection)

    def _next(self, stable: Stable) -> asyncio.Future[Connection | None] | None:
        while stable.waiters:
            waiter = stable.waiters.popleft()
            if not waiter.done():
                return waiter
        return None
