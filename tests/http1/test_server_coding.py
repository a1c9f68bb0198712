"""Compressed bodies."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan.errors import BadRequest, BodyTooLarge, UnsupportedCoding
from yizhan.http1.coding import inflate


def _raw(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


@given(data=st.binary(max_size=5000))
def test_each_coding_is_undone(data: bytes) -> None:
    assert inflate(data, None, limit=5000) == data
    assert inflate(data, b"Identity", limit=5000) == data
    assert inflate(gzip.compress(data), b" GZip ", limit=5000) == data
    assert inflate(gzip.compress(data) + gzip.compress(data), b"x-gzip", limit=10_000) == data + data
    assert inflate(zlib.compress(data), b"deflate", limit=5000) == data
    assert inflate(_raw(data), b"deflate", limit=5000) == data


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"compress", b"gzip;q=1"])
def test_an_unknown_coding_is_refused(coding: bytes) -> None:
    with pytest.raises(UnsupportedCoding):
        inflate(b"x", coding, limit=10)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_the_limit_is_exact_and_a_bomb_is_not_inflated(coding: bytes) -> None:
    press = gzip.compress if coding == b"gzip" else zlib.compress
    assert len(inflate(press(b"x" * 10_000), coding, limit=10_000)) == 10_000
    for size in (10_001, 100_000_000):
        with pytest.raises(BodyTooLarge):
            inflate(press(b"x" * size), coding, limit=10_000)


def test_an_endless_row_of_empty_members_is_refused() -> None:
    with pytest.raises(BadRequest):
        inflate(gzip.compress(b"") * 100_000, b"gzip", limit=100)


@pytest.mark.parametrize("damage", ["short", "garbage", "behind", "checksum", "empty"])
@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_a_damaged_body_is_refused(coding: bytes, damage: str) -> None:
    whole = gzip.compress(b"hello" * 99) if coding == b"gzip" else zlib.compress(b"hello" * 99)
    damaged = {
        "short": whole[:-9],
        "garbage": b"\x07nonsense",
        "behind": whole + b"more",
        "checksum": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
        "empty": b"",
    }[damage]
    if damage == "checksum" and coding == b"deflate":
        damaged = whole[:-1] + bytes([whole[-1] ^ 1])
    with pytest.raises(BadRequest):
        inflate(damaged, coding, limit=10_000)
