"""Names to addresses, remembered: the loop never waits for a resolver, and a resolver's bad minute is not ours."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

Address = tuple[socket.AddressFamily, Any]
Lookup = Callable[[str, int], Awaitable[list[Address]]]
_CACHED_MAX = 1024


async def system_lookup(host: str, port: int) -> list[Address]:
    """Ask the system's resolver, in a thread."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


class Resolver:
    """A cache over a look-up. The system tells no TTL, so ``ttl_s`` stands for it; on errors the old answer serves."""

    __slots__ = ("_cache", "_lookup", "_loop", "_running", "_stale_s", "_ttl_s")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        ttl_s: float = 30,
        stale_s: float = 3600,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._loop = loop
        self._ttl_s = ttl_s
        self._stale_s = stale_s
        self._lookup = lookup
        self._cache: dict[tuple[str, int], tuple[float, float, list[Address]]] = {}  # ask again at, forget at, answer
        self._running: dict[tuple[str, int], asyncio.Task[list[Address]]] = {}

    async def find(self, host: str, port: int) -> list[Address]:
        """Resolve, the families taking turns beginning with the resolver's first choice. Raises OSError."""
        key = (host, port)
        cached = self._cache.get(key)
        if cached is not None and self._loop.time() < cached[0]:
            return cached[2]
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = self._loop.create_task(self._ask(key))
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)  # others may wait for the same answer

    async def close(self) -> None:
        """Give up the look-ups under way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, key: tuple[str, int]) -> list[Address]:
        stale = self._cache.get(key)
        try:
            found = take_turns(await self._lookup(*key))
        except OSError:
            now = self._loop.time()
            if stale is None or now >= stale[1]:
                raise
            found = stale[2]
            self._cache[key] = (now + self._ttl_s, stale[1], found)
            return found
        now = self._loop.time()
        self._cache.pop(key, None)
        self._cache[key] = (now + self._ttl_s, now + self._stale_s, found)
        if len(self._cache) > _CACHED_MAX:
            del self._cache[next(iter(self._cache))]
        return found


def take_turns(addresses: list[Address]) -> list[Address]:
    """Order addresses so that the families alternate, each in its own order."""
    if not addresses:
        return []
    head = addresses[0][0]
    one = [address for address in addresses if address[0] == head]
    other = [address for address in addresses if address[0] != head]
    turns: list[Address] = []
    for index in range(max(len(one), len(other))):
        turns += one[index : index + 1] + other[index : index + 1]
    return turns
