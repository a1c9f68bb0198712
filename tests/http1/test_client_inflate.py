from __future__ import annotations

import gzip
import zlib

import pytest
from tests.http1.client_scene import play, run

from yizhan.http1.inflate import Inflater
from yizhan.http1.message import Truncated

TEXT = b"the same words again and again, " * 500


def _raw(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


CODED = {
    "gzip": (b"gzip", gzip.compress(TEXT)),
    "x-gzip in two members": (b"X-GZIP", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
    "deflate": (b"deflate", zlib.compress(TEXT)),
    "raw deflate": (b"deflate", _raw(TEXT)),
}


@pytest.mark.parametrize("name", CODED)
def test_a_compressed_answer_is_inflated_in_any_split(name: str) -> None:
    coding, body = CODED[name]
    wire = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n%b" % (coding, len(body), body)

    async def story() -> None:
        for step in (1, 7, len(wire)):
            outcome = await play([wire[at : at + step] for at in range(0, len(wire), step)])
            assert (outcome.body, outcome.fault, outcome.headers) == (TEXT, None, [])

    run(story())


@pytest.mark.parametrize("name", CODED)
def test_a_compressed_answer_cut_short_inside_its_framing_is_truncated(name: str) -> None:
    coding, body = CODED[name]
    for cut in (1, len(body) // 2, len(body) - 1):
        wire = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n" % (coding, cut) + body[:cut]
        outcome = run(play([wire]))
        assert outcome.fault == "Truncated"
        assert TEXT.startswith(outcome.body)


def test_identity_is_no_coding() -> None:
    outcome = run(play([b"HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-length: 2\r\n\r\nok"]))
    assert (outcome.body, outcome.fault) == (b"ok", None)


def test_a_bomb_is_stopped_early() -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)
    pieces: list[bytes] = []
    with pytest.raises(Truncated):
        pieces.extend(Inflater(b"gzip").feed(bomb[:50_000]))
    assert sum(map(len, pieces)) < 6_000_000


def test_damage_is_noticed() -> None:
    damaged = bytearray(gzip.compress(TEXT))
    damaged[-6] ^= 1
    with pytest.raises(Truncated):
        list(Inflater(b"gzip").feed(bytes(damaged)))


def test_bytes_after_a_deflated_body_are_damage() -> None:
    with pytest.raises(Truncated):
        list(Inflater(b"deflate").feed(zlib.compress(TEXT) + b"more"))
