"""The nouns both sides of HTTP/1.1 share: headers, limits, failures."""

from __future__ import annotations

import msgspec

Header = tuple[bytes, bytes]
Headers = list[Header]  # names in lower case, in the order they came


def first(headers: Headers, name: bytes) -> bytes | None:
    """Find the first value of a header; the name is given in lower case."""
    for key, value in headers:
        if key == name:
            return value
    return None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on one message and one connection; the same for both sides."""

    header_bytes_max: int = 32 * 1024
    header_count_max: int = 100
    body_bytes_max: int = 32 * 1024 * 1024
    buffer_bytes_max: int = 256 * 1024  # read ahead of whoever consumes a body, and written ahead of the peer


class TransferFailed(Exception):
    """The exchange with an upstream could not be finished. ``phase`` says how far it got."""

    phase = "answer"


class ConnectFailed(TransferFailed):
    """No connection: name not found, refused, TLS or proxy failed, timed out. Nothing was sent."""

    phase = "connect"


class NoAnswer(TransferFailed):
    """The request (or a part of it) was sent; no byte of an answer came."""

    phase = "first_byte"


class Truncated(TransferFailed):
    """The answer had begun and broke off, or was not HTTP."""

    phase = "body"


class TooLong(TransferFailed):
    """The answer is longer than whoever reads it whole allows."""

    phase = "body"


class TooSlow(TransferFailed):
    """A deadline passed. ``phase`` is set on the instance: connect, first_byte, idle or total."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"{phase} timeout")
        self.phase = phase
