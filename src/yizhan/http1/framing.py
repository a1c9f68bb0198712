"""What a head says of its body. Pure: headers in, a decision or BadFraming out; both sides of a connection ask here.

A body's end decides where the next message begins, so two readers that disagree about it can be made to read different
messages from the same bytes (request smuggling). Whatever leaves room for disagreement is therefore refused, not
repaired.
"""

from __future__ import annotations

import msgspec

from yizhan.http1.message import Headers

CHUNKED = -1  # the body says itself where it ends
UNTIL_CLOSE = -2  # the body ends with the connection; only answers may

_LENGTH_DIGITS_MAX = 15  # a petabyte; more is an attack on somebody's integers
_DECIDING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"host", b"expect"})


class BadFraming(ValueError):
    """A head that two readers could understand differently; ``str(error)`` says what is wrong with it."""


class RequestFraming(msgspec.Struct, frozen=True):
    """How a request's body is delimited, and what is to happen around it."""

    length: int  # bytes, or CHUNKED
    keep_alive: bool  # the caller would like to send another request
    expects_continue: bool  # the caller waits for 100 before it sends the body


def request_framing(headers: Headers, *, version_1_0: bool) -> RequestFraming:
    """Decide how a request's body is delimited. Raises BadFraming for all that is ambiguous."""
    length: int | None = None
    coding = host = connection = expect = None
    for name, value in headers:
        if name not in _DECIDING:
            continue
        if name == b"host":
            if host is not None:
                raise BadFraming("more than one Host header")
            host = value
        elif name == b"content-length":
            if length is not None:
                raise BadFraming("more than one Content-Length header")
            length = content_length(value)
        elif name == b"connection":
            connection = value if connection is None else connection + b"," + value
        elif name == b"transfer-encoding":
            if coding is not None:
                raise BadFraming("more than one Transfer-Encoding header")
            coding = value
        else:
            expect = value
    if host is None and not version_1_0:
        raise BadFraming("the Host header is missing")
    if coding is not None:
        _only_chunked(coding, length=length, version_1_0=version_1_0)
        length = CHUNKED
    return RequestFraming(
        length or 0,
        keeps_alive(connection, version_1_0=version_1_0),
        expect is not None and not version_1_0 and expect.strip().lower() == b"100-continue",
    )


def answer_length(status: int, headers: Headers, *, method: bytes, version_1_0: bool = False) -> int:
    """Decide how an answer's body is delimited: bytes, CHUNKED or UNTIL_CLOSE. Raises BadFraming.

    Answers are judged more mildly than requests where servers are known to be sloppy: equal repeated lengths pass.
    """
    if method == b"HEAD" or status in {204, 304} or status < 200 or (method == b"CONNECT" and status < 300):
        return 0
    length: int | None = None
    coding: bytes | None = None
    for name, value in headers:
        if name == b"content-length":
            for one in value.split(b","):
                found = content_length(one.strip(b" \t"))
                if length is not None and found != length:
                    raise BadFraming("differing Content-Length headers")
                length = found
        elif name == b"transfer-encoding":
            if coding is not None:
                raise BadFraming("more than one Transfer-Encoding header")
            coding = value
    if coding is not None:
        _only_chunked(coding, length=length, version_1_0=version_1_0)
        return CHUNKED
    return UNTIL_CLOSE if length is None else length


def content_length(value: bytes) -> int:
    """Read a Content-Length. Raises BadFraming unless it is plain digits."""
    digits = value.strip(b" \t")
    if not digits.isdigit() or len(digits) > _LENGTH_DIGITS_MAX:
        raise BadFraming("the Content-Length is not a number")
    return int(digits)


def keeps_alive(connection: bytes | None, *, version_1_0: bool) -> bool:
    """Tell whether the peer that sent these Connection options goes on after this message."""
    if connection is None:
        return not version_1_0
    options = [option.strip(b" \t") for option in connection.lower().split(b",")]
    if b"close" in options:
        return False
    return not version_1_0 or b"keep-alive" in options


def _only_chunked(coding: bytes, *, length: int | None, version_1_0: bool) -> None:
    if version_1_0:
        raise BadFraming("HTTP/1.0 knows no Transfer-Encoding")
    if length is not None:
        raise BadFraming("both Content-Length and Transfer-Encoding")
    if coding.strip(b" \t").lower() != b"chunked":
        raise BadFraming("a Transfer-Encoding other than chunked")
