"""What a head says of its body. Pure: headers in, a decision or BadFraming out; both sides of a connection ask here.

A body's end decides where the next message begins, so two readers that disagree about it can be made to read different
messages from the same bytes (request smuggling). Whatever leaves room for disagreement is therefore refused, not
repaired.
"""

from __future__ import annotations

from yizhan.http1.lines import BadFraming
from yizhan.http1.message import Headers

CHUNKED = -1  # the body says itself where it ends
UNTIL_CLOSE = -2  # the body ends with the connection; only answers may

_LENGTH_DIGITS_MAX = 15  # a petabyte; more is an attack on somebody's integers
_REQUEST = frozenset({b"content-length", b"transfer-encoding", b"connection", b"host", b"expect"})
_ANSWER = frozenset({b"content-length", b"transfer-encoding", b"connection", b"content-encoding"})


def request_framing(headers: Headers, *, version_1_0: bool) -> tuple[int, bool, bool]:
    """Decide how a request's body is delimited. Raises BadFraming for all that is ambiguous.

    Gives its length in bytes or CHUNKED; whether the caller would like to go on after it; whether the caller waits for
    100 before sending it.
    """
    length: int | None = None
    coding = host = connection = expect = None
    for name, value in headers:
        if name not in _REQUEST:
            continue
        if name == b"host":
            if host is not None:
                raise BadFraming("more than one Host header")
            host = value
        elif name == b"content-length":
            if length is not None:
                raise BadFraming("more than one Content-Length header")
            length = _length(value)
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
    return (
        length or 0,
        not version_1_0 if connection is None else _keeps_alive(connection, version_1_0=version_1_0),
        expect is not None and not version_1_0 and expect.lower() == b"100-continue",
    )


def answer_framing(
    headers: Headers, *, status: int, to_head: bool, version_1_0: bool
) -> tuple[int, bool, bytes | None]:
    """Decide how an answer's body is delimited. Raises BadFraming.

    Gives its length, CHUNKED or UNTIL_CLOSE; whether the connection may be used after it; the body's compression.
    Milder than for requests where servers are known to be sloppy: equal repeated lengths pass.
    """
    length: int | None = None
    coding = connection = compression = None
    for name, value in headers:
        if name not in _ANSWER:
            continue
        if name == b"content-length":
            found = _length(value)
            if length is not None and found != length:
                raise BadFraming("differing Content-Length headers")
            length = found
        elif name == b"transfer-encoding":
            if coding is not None:
                raise BadFraming("more than one Transfer-Encoding header")
            coding = value
        elif name == b"connection":
            connection = value if connection is None else connection + b"," + value
        elif compression is None and (value := value.lower()) not in {b"", b"identity"}:
            compression = value
    if coding is not None:
        _only_chunked(coding, length=length, version_1_0=version_1_0)
        length = CHUNKED
    keep = not version_1_0 if connection is None else _keeps_alive(connection, version_1_0=version_1_0)
    if to_head or status in {204, 304}:
        return 0, keep, None
    if length is None:
        return UNTIL_CLOSE, False, compression
    return length, keep, compression


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > _LENGTH_DIGITS_MAX:
        raise BadFraming("the Content-Length is not a number")
    return int(value)


def _keeps_alive(connection: bytes, *, version_1_0: bool) -> bool:
    options = [option.strip(b" \t") for option in connection.lower().split(b",")]
    if b"close" in options:
        return False
    return not version_1_0 or b"keep-alive" in options


def _only_chunked(coding: bytes, *, length: int | None, version_1_0: bool) -> None:
    if version_1_0:
        raise BadFraming("HTTP/1.0 knows no Transfer-Encoding")
    if length is not None:
        raise BadFraming("both Content-Length and Transfer-Encoding")
    if coding.lower() != b"chunked":
        raise BadFraming("a Transfer-Encoding other than chunked")
