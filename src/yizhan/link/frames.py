"""How messages lie on the wire: 4 bytes of length, big-endian, then msgpack."""

from __future__ import annotations

import asyncio

import msgspec

FRAME_MAX = 64 * 1024 * 1024
READ_AHEAD = 1024 * 1024  # bytes buffered of a peer that sends faster than we handle

_encoder = msgspec.msgpack.Encoder()


class LinkBroken(Exception):
    """The peer said something that cannot be; the connection is of no more use."""


def frame(message: msgspec.Struct) -> bytes:
    """Frame a message; raises LinkBroken when it is longer than a reader would accept."""
    payload = _encoder.encode(message)
    if len(payload) > FRAME_MAX:
        raise LinkBroken(f"a message of {len(payload)} bytes is too long")
    return len(payload).to_bytes(4, "big") + payload


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Read one message's bytes; None when the peer is gone, at whatever point."""
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > FRAME_MAX:
            raise LinkBroken(f"a message of {length} bytes is too long")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None


def address_of(text: str) -> tuple[str | None, tuple[str, int]]:
    """Read ``unix:PATH`` or ``tcp:HOST:PORT``: the path, or None and where to connect; raises ValueError."""
    kind, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if kind == "unix" and rest:
        return rest, ("", 0)
    if kind == "tcp" and host and port.isdecimal() and int(port) < 65536:
        return None, (host.strip("[]"), int(port))
    raise ValueError(f"the link's address is unix:PATH or tcp:HOST:PORT, not {text!r}")
