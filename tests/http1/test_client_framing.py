from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.http1.client_scene import OK, Outcome, Wire, connected, play, run

from yizhan.http1.framing import CHUNKED, UNTIL_CLOSE, answer_framing
from yizhan.http1.lines import BadFraming
from yizhan.http1.message import Limits

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain \r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nx-sum: 1\r\n\r\n"
UNTIL_EOF = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\nhello"
INFORMED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + LENGTH


@pytest.mark.parametrize("wire", [LENGTH, CHUNKS, UNTIL_EOF, INFORMED])
def test_an_answer_split_at_any_byte_is_the_same_answer(wire: bytes) -> None:
    async def story() -> None:
        whole = await play([wire])
        assert (whole.status, whole.body, whole.fault) == (200, b"hello", None)
        for at in range(1, len(wire)):
            assert await play([wire[:at], wire[at:]]) == whole
        assert await play([wire[at : at + 1] for at in range(len(wire))]) == whole

    run(story())


@pytest.mark.parametrize("wire", [LENGTH, CHUNKS, INFORMED])
def test_an_answer_that_breaks_off_at_any_byte_is_a_failure(wire: bytes) -> None:
    async def story() -> None:
        for at in range(len(wire)):
            outcome = await play([wire[:at]])
            assert outcome.fault == ("Truncated" if at else "NoAnswer")
            assert not outcome.kept
            assert b"hello".startswith(outcome.body)

    run(story())


def test_a_body_until_the_end_of_input_ends_cleanly_and_spends_the_connection() -> None:
    outcome = run(play([UNTIL_EOF]))
    assert outcome == Outcome(200, [(b"x", b"y")], b"hello", None, kept=False)


def test_a_body_until_the_end_of_input_is_truncated_when_the_connection_is_reset() -> None:
    outcome = run(play([UNTIL_EOF], reset=True))
    assert (outcome.body, outcome.fault, outcome.kept) == (b"hello", "Truncated", False)


def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    outcome = run(play([b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"], eof=False, method=b"HEAD"))
    assert (outcome.body, outcome.fault, outcome.kept) == (b"", None, True)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_204_and_304_have_no_body_whatever_their_headers_say(status: bytes) -> None:
    outcome = run(play([b"HTTP/1.1 %b\r\ncontent-length: 5\r\n\r\n" % status], eof=False))
    assert (outcome.body, outcome.fault, outcome.kept) == (b"", None, True)


@pytest.mark.parametrize("extra", [b"x", b"hello", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"\0"])
@pytest.mark.parametrize("answer", [LENGTH, CHUNKS, b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_bytes_after_an_answer_spend_the_connection_and_reach_nobody(answer: bytes, extra: bytes) -> None:
    async def story() -> None:
        expected = (await play([answer], eof=False)).body
        for parts in ([answer + extra], [answer, extra]):
            outcome = await play(parts, eof=False)
            assert (outcome.body, outcome.fault, outcome.kept) == (expected, None, False)

    run(story())


def test_trailers_are_not_headers() -> None:
    outcome = run(play([CHUNKS]))
    assert outcome.headers == [(b"transfer-encoding", b"Chunked")]


def test_header_names_come_in_lower_case_and_values_trimmed() -> None:
    outcome = run(play([b"HTTP/1.1 200 OK\r\nX-Empty:\r\nX-Y: z \t\r\ncontent-length: 0\r\n\r\n"]))
    assert outcome.headers == [(b"x-empty", b""), (b"x-y", b"z"), (b"content-length", b"0")]


BAD = {
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
    "list of lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\n\r\nabc",
    "signed length": b"HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
    "huge length": b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999999\r\n\r\nabc",
    "other coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in 1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "version": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nx: a\ncontent-length: 0\n\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 0\r\n\r\n",
    "bad chunk size": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
    "huge chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
    "chunk longer than said": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nabc",
    "switching unasked": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "other protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "status": b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"content-length: 0\r\n\r\n",
    "long header": b"HTTP/1.1 200 OK\r\na: " + b"b" * 33_000 + b"\r\ncontent-length: 0\r\n\r\n",
    "endless 1xx": b"HTTP/1.1 102 Processing\r\n\r\n" * 2_000,
    "unknown compression": b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc",
}


@pytest.mark.parametrize("name", BAD)
def test_an_answer_that_is_not_plain_http_is_refused(name: str) -> None:
    async def story() -> None:
        wire = BAD[name]
        for parts in ([wire], [wire[at : at + 7] for at in range(0, len(wire), 7)]):
            outcome = await play(parts)
            assert outcome.fault == "Truncated"
            assert not outcome.kept

    run(story())


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 OK\r\nx: ",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ",
    ],
)
def test_heads_extensions_and_trailers_without_end_are_cut_off(endless: bytes) -> None:
    async def story() -> None:
        assert (await play([endless] + [b"a" * 4096] * 9, eof=False)).fault == "Truncated"

    run(story())


def test_an_idle_connection_that_speaks_or_ends_is_dropped() -> None:
    async def story() -> None:
        for end in ("data", "eof", "lost"):
            connection, wire, home = connected(Limits())
            if end == "data":
                connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            elif end == "eof":
                connection.eof_received()
            else:
                connection.connection_lost(None)
            assert (wire.aborted, home.forgotten) == (True, [connection])

    run(story())


def test_framing_is_read_from_the_head_alone() -> None:
    plain: dict[str, Any] = {"status": 200, "to_head": False, "version_1_0": False}
    assert answer_framing([(b"content-length", b"7")], **plain) == (7, True, None)
    assert answer_framing([(b"transfer-encoding", b"chunked")], **plain) == (CHUNKED, True, None)
    assert answer_framing([(b"connection", b"Foo, Close")], **plain) == (UNTIL_CLOSE, False, None)
    assert answer_framing([(b"content-length", b"7"), (b"connection", b"close")], **plain) == (7, False, None)
    assert answer_framing([(b"content-length", b"7")], **plain | {"version_1_0": True}) == (7, False, None)
    assert answer_framing([(b"content-length", b"7")], **plain | {"to_head": True}) == (0, True, None)
    with pytest.raises(BadFraming):
        answer_framing([(b"content-length", b"")], **plain)


@st.composite
def _answers(draw: st.DrawFn) -> tuple[bytes, bytes, bool]:
    """An answer on the wire, its body, and whether it keeps the connection."""
    pieces = draw(st.lists(st.binary(min_size=1, max_size=300), max_size=8))
    body = b"".join(pieces)
    kind = draw(st.sampled_from(["length", "chunked", "close"]))
    if kind == "length":
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body), body, True
    if kind == "close":
        return b"HTTP/1.0 200 OK\r\n\r\n" + body, body, False
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", body, True


@settings(max_examples=150, deadline=None)
@given(_answers(), st.lists(st.integers(0, 3000), max_size=12), st.one_of(st.none(), st.integers(0, 3000)))
def test_any_answer_in_any_split_arrives_whole_or_fails(
    answer: tuple[bytes, bytes, bool], cuts: list[int], broken_at: int | None
) -> None:
    wire, body, kept = answer
    if broken_at is not None:
        wire = wire[:broken_at]
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    outcome = run(play([wire[start:stop] for start, stop in pairwise(edges)]))
    assert body.startswith(outcome.body)
    if len(wire) == len(answer[0]):
        assert (outcome.body, outcome.fault, outcome.kept) == (body, None, kept)
    elif kept:
        assert outcome.fault is not None


def test_the_same_connection_carries_the_next_exchange() -> None:
    assert run(play([OK], eof=False)).kept


def test_a_fault_of_ours_is_not_blamed_on_the_answer() -> None:
    class Broken(Wire):
        def get_write_buffer_size(self) -> int:
            raise ZeroDivisionError

    async def story() -> None:
        with pytest.raises(ZeroDivisionError):
            await play([LENGTH], wire=Broken())

    run(story())
