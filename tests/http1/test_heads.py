"""Our reading of heads beside another's (llhttp, Node's parser): what we accept, it understands in the same way."""

from __future__ import annotations

import contextlib

import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.http1.server_corpus import ACCEPTED, SMUGGLING

from yizhan.errors import StationError
from yizhan.http1.head import REQUESTS, STATUSES, HeadReader
from yizhan.http1.lines import BadFraming
from yizhan.http1.message import Headers, Limits

REQUEST = b"POST /v1/a?b=c HTTP/1.1\r\nHost: a\r\nX-Y:  z \r\nContent-Type: application/json\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nServer: a\r\nX-Empty:\r\nContent-Type: text/plain\r\n\r\n"
ODD = [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\x7f", b"\xff", b"#", b"HTTP/1.1", b"HTTP/1.0", b"A", b"\x0b"]


class Theirs:
    """What llhttp made of a head."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: Headers = []
        self.ends = 0

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.ends += 1


@st.composite
def _mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.one_of(st.sampled_from(ODD), st.binary(max_size=2)))
    return bytes(data) + b"\r\n\r\n"


@settings(max_examples=1500, deadline=None)
@given(_mutated(REQUEST))
@example(REQUEST)
@example(b"GET http://a?x HTTP/1.0\r\n\r\n")
def test_a_request_we_accept_is_the_same_request_to_another_parser(data: bytes) -> None:
    try:
        read = HeadReader(Limits(), REQUESTS).feed(data)
    except (BadFraming, StationError):
        return
    assert read is not None
    line, headers, rest = read
    theirs = Theirs()
    parser = httptools.HttpRequestParser(theirs)
    with contextlib.suppress(httptools.HttpParserUpgrade):
        parser.feed_data(data[: len(data) - len(rest)])
    assert (parser.get_method(), theirs.target, theirs.headers) == (line.method, line.target, headers)
    assert (theirs.ends, parser.get_http_version()) == (1, "1.0" if line.version_1_0 else "1.1")


@settings(max_examples=1500, deadline=None)
@given(_mutated(ANSWER))
@example(ANSWER)
def test_an_answer_we_accept_is_the_same_answer_to_another_parser(data: bytes) -> None:
    try:
        read = HeadReader(Limits(), STATUSES).feed(data)
    except BadFraming:
        return
    assert read is not None
    line, headers, rest = read
    theirs = Theirs()
    parser = httptools.HttpResponseParser(theirs)
    parser.feed_data(data[: len(data) - len(rest)])
    assert (parser.get_status_code(), theirs.headers, theirs.ends) == (line.status, headers, 1)


def test_a_head_is_the_same_however_it_is_split_and_whatever_was_read_before() -> None:
    for data in (ACCEPTED | SMUGGLING).values():
        outcomes = {_outcome([data])}
        outcomes |= {_outcome([data[:at], data[at:]]) for at in range(1, len(data))}
        outcomes.add(_outcome([data[at : at + 1] for at in range(len(data))]))
        assert len(outcomes) == 1, data


def _outcome(parts: list[bytes]) -> str:
    reader = HeadReader(Limits(), REQUESTS)
    rest: list[bytes] = []
    read = None
    for part in parts:
        if read is not None:
            rest.append(part)
            continue
        try:
            read = reader.feed(part)
        except (BadFraming, StationError):
            return "not read"
    if read is None:
        return "not read"  # refused later, by time if nothing else
    line, headers, first_rest = read
    return f"{line} {headers} {b''.join([first_rest, *rest])!r}"
