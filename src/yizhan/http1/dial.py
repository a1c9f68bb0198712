"""Opening a connection: resolve, race the addresses, pass the proxy, shake hands on TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from yizhan.http1.dns import Address, Resolver
from yizhan.http1.message import ConnectFailed
from yizhan.http1.origin import Origin
from yizhan.http1.outgoing import Connection
from yizhan.http1.proxy import BadProxy, Proxy, tunnel

_STAGGER_S = 0.25  # RFC 8305's delay before the next address is tried beside the first


def verifying() -> ssl.SSLContext:
    """Make a TLS context that believes the system's authorities and speaks HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(
    origin: Origin,
    make: Callable[[], Connection],
    *,
    proxy: str | None,
    tls: ssl.SSLContext,
    resolver: Resolver,
) -> Connection:
    """Open a connection to the origin. Raises ConnectFailed; cancelling leaves nothing open."""
    loop = asyncio.get_running_loop()
    try:
        if origin.scheme == "unix":
            _, connection = await loop.create_unix_connection(make, origin.host)
            return connection
        way = None if proxy is None else Proxy.parse(proxy)
        near = (origin.host, origin.port) if way is None else (way.host, way.port)
        sock = await connect_any(await resolver.find(*near))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if way is not None:
                await tunnel(sock, way, origin)
            secure = origin.scheme == "https"
            _, connection = await loop.create_connection(
                make, sock=sock, ssl=tls if secure else None, server_hostname=origin.host if secure else None
            )
        except BaseException:
            sock.close()
            raise
        return connection
    except (OSError, BadProxy, UnicodeError) as error:
        raise ConnectFailed(f"no connection to {origin.host}: {error or type(error).__name__}") from error


async def connect_any(addresses: list[Address], *, stagger_s: float = _STAGGER_S) -> socket.socket:
    """Connect to the first address that answers, starting the next when one fails or is slow. Raises the first error.

    Ours because uvloop refuses ``happy_eyeballs_delay``.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0])
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    waiting = list(addresses)
    won: asyncio.Task[socket.socket] | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(loop.create_task(_connect(waiting.pop(0))))
            done, _ = await asyncio.wait(
                running, timeout=stagger_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                error = task.exception()
                if error is None:
                    won = task
                    return task.result()
                running.discard(task)
                if not isinstance(error, OSError):
                    raise error
                errors.append(error)
        raise errors[0] if errors else OSError("the name has no address")
    finally:
        await _stop(running - {won} if won is not None else running)


async def _stop(losers: set[asyncio.Task[socket.socket]]) -> None:
    for task in losers:
        task.cancel()
    for outcome in await asyncio.gather(*losers, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


async def _connect(address: Address) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address[1])
    except BaseException:
        sock.close()
        raise
    return sock
