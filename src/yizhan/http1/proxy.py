"""The way through a proxy: HTTP CONNECT, or SOCKS5 (socksio knows its bytes). Names are resolved by the proxy."""

from __future__ import annotations

import asyncio
import base64
import socket
from functools import lru_cache
from typing import Self
from urllib.parse import unquote, urlsplit

import msgspec
from socksio import ProtocolError, socks5

from yizhan.http1.origin import Origin

_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
_ANSWER_MAX = 16 * 1024


class BadProxy(Exception):
    """The proxy refused, or did not speak its protocol."""


class Proxy(msgspec.Struct, frozen=True):
    """A proxy's address and who we are to it."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str = ""

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, url: str) -> Self:
        """Read http://, socks5:// or socks5h:// [USER:PASSWORD@]HOST[:PORT]. Raises BadProxy."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise BadProxy("the proxy's URL cannot be read") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise BadProxy("a proxy is http://HOST:PORT or socks5://HOST:PORT")
        user = None if parts.username is None else unquote(parts.username)
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], user, unquote(parts.password or ""))


async def tunnel(sock: socket.socket, proxy: Proxy, origin: Origin) -> None:
    """Ask the proxy at the other end for a tunnel to the origin. Raises BadProxy or OSError."""
    if proxy.scheme == "http":
        await _http_connect(sock, proxy, origin)
        return
    try:
        await _socks5(sock, proxy, origin)
    except ProtocolError as error:
        raise BadProxy(f"the proxy does not speak SOCKS5: {error}") from None


async def _http_connect(sock: socket.socket, proxy: Proxy, origin: Origin) -> None:
    loop = asyncio.get_running_loop()
    lines = [f"CONNECT {origin.authority} HTTP/1.1", f"host: {origin.authority}"]
    if proxy.user is not None:
        token = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"proxy-authorization: Basic {token}")
    await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = await loop.sock_recv(sock, 4096)
        answer += piece
        if not piece or len(answer) > _ANSWER_MAX:
            raise BadProxy("the proxy's answer to CONNECT broke off or is too long")
    head, _, extra = answer.partition(b"\r\n\r\n")
    # Read by hand: a parser takes what follows CONNECT's 200 for a body. Nothing may follow, for we speak first.
    version, _, status = head.split(b"\r\n", 1)[0].partition(b" ")
    if not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
        raise BadProxy("the proxy does not speak HTTP")
    if not status.startswith(b"2"):
        raise BadProxy(f"the proxy answered {status[:3].decode()} to CONNECT")
    if extra:
        raise BadProxy("the proxy spoke out of turn")


async def _socks5(sock: socket.socket, proxy: Proxy, origin: Origin) -> None:
    loop = asyncio.get_running_loop()
    talk = socks5.SOCKS5Connection()
    methods = [socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED]
    if proxy.user is not None:
        methods.append(socks5.SOCKS5AuthMethod.USERNAME_PASSWORD)
    talk.send(socks5.SOCKS5AuthMethodsRequest(methods))
    await loop.sock_sendall(sock, talk.data_to_send())
    talk.receive_data(await _exactly(sock, 2))
    if talk.state is socks5.SOCKS5State.CLIENT_WAITING_FOR_USERNAME_PASSWORD and proxy.user is not None:
        user, password = proxy.user.encode(), proxy.password.encode()
        if max(len(user), len(password)) > 255:
            raise BadProxy("SOCKS5 takes no name or password over 255 bytes")
        talk.send(socks5.SOCKS5UsernamePasswordRequest(user, password))
        await loop.sock_sendall(sock, talk.data_to_send())
        talk.receive_data(await _exactly(sock, 2))
    if talk.state is not socks5.SOCKS5State.CLIENT_AUTHENTICATED:
        raise BadProxy("the proxy does not let us in")
    if len(origin.host) > 255:
        raise BadProxy("SOCKS5 takes no host name over 255 bytes")
    connect = socks5.SOCKS5Command.CONNECT
    talk.send(socks5.SOCKS5CommandRequest.from_address(connect, (origin.host, origin.port)))
    await loop.sock_sendall(sock, talk.data_to_send())
    reply = talk.receive_data(await _socks5_reply(sock))
    if not isinstance(reply, socks5.SOCKS5Reply) or reply.reply_code is not socks5.SOCKS5ReplyCode.SUCCEEDED:
        raise BadProxy(f"the proxy refused: {reply!r}")


async def _socks5_reply(sock: socket.socket) -> bytes:
    start = await _exactly(sock, 5)  # version, outcome, reserved, kind of address, its first byte
    rest = {1: 3, 3: start[4], 4: 15}.get(start[3])
    if rest is None:
        raise BadProxy("the proxy does not speak SOCKS5: unknown kind of address")
    return start + await _exactly(sock, rest + 2)


async def _exactly(sock: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        piece = await loop.sock_recv(sock, count - len(data))
        if not piece:
            raise BadProxy("the proxy hung up")
        data += piece
    return data
