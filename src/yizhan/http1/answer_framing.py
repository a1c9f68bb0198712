"""Where an answer's body ends: decided here, from its head alone, never by the parser's own idea of it."""

from __future__ import annotations

from yizhan.http1.message import Headers

CHUNKED = -1
UNTIL_CLOSE = -2
_BODYLESS = (204, 304)


class BadFraming(ValueError):
    """The head says two things about the body's end, or something nobody can read."""


def body_length(headers: Headers, *, to_head: bool, status: int, version: str) -> int:
    """Read the body's length in bytes, or CHUNKED, or UNTIL_CLOSE. Raises BadFraming: such an answer ends nowhere."""
    if version not in {"1.1", "1.0"}:
        raise BadFraming("the answer has another version of HTTP")
    length = coding = None
    for name, value in headers:
        if name == b"content-length":
            # 18 digits are more than anyone sends, and int() of a long one is slow
            if not value.isdigit() or len(value) > 18 or (length is not None and length != int(value)):
                raise BadFraming("the answer's content-length cannot be read")
            length = int(value)
        elif name == b"transfer-encoding":
            if coding is not None or value.lower() != b"chunked":
                raise BadFraming("the answer comes in a transfer-encoding nobody asked for")
            coding = value
    if coding is not None and (length is not None or version == "1.0"):
        raise BadFraming("the answer has both a length and chunks, or chunks in HTTP/1.0")
    if to_head or status in _BODYLESS:
        return 0
    if coding is not None:
        return CHUNKED
    return UNTIL_CLOSE if length is None else length
