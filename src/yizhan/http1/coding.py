"""Compressed bodies, inflated within a limit: a small body must not become a large one unnoticed."""

from __future__ import annotations

import zlib

from yizhan.errors import BadRequest, BodyTooLarge, UnsupportedCoding

_AUTO = 32 + zlib.MAX_WBITS  # gzip or zlib, by the first bytes
_RAW = -zlib.MAX_WBITS  # what some senders call deflate
_STEP = 4 * 1024 * 1024
_MEMBERS_MAX = 64  # each costs a copy of what follows it


def inflate(body: bytes, coding: bytes | None, *, limit: int) -> bytes:
    """Undo a Content-Encoding. Raises UnsupportedCoding, BodyTooLarge, or BadRequest when the data is damaged."""
    name = b"" if coding is None else coding.strip(b" \t").lower()
    if name in {b"", b"identity"}:
        return body
    if name not in {b"gzip", b"x-gzip", b"deflate"}:
        raise UnsupportedCoding("the body's Content-Encoding must be gzip, deflate or identity")
    whole = bytearray()
    rest = body
    for _ in range(_MEMBERS_MAX):  # a gzip body may be several members, one after the other
        rest = _inflate_member(rest, raw=name == b"deflate" and not _is_zlib(rest), into=whole, limit=limit)
        if not rest:
            return bytes(whole)
        if name == b"deflate":
            break
    raise BadRequest("the compressed body is damaged")


def _inflate_member(data: bytes, *, raw: bool, into: bytearray, limit: int) -> bytes:
    """Inflate one member and return what follows it."""
    engine = zlib.decompressobj(_RAW if raw else _AUTO)
    try:
        while not engine.eof:
            piece = engine.decompress(data, min(_STEP, limit - len(into) + 1))
            into += piece
            if len(into) > limit:
                raise BodyTooLarge(f"the inflated body is over the limit of {limit} bytes")
            data = engine.unconsumed_tail
            if not piece and not data and not engine.eof:
                raise BadRequest("the compressed body is cut short")
    except zlib.error:
        raise BadRequest("the compressed body is damaged") from None
    return engine.unused_data


def _is_zlib(data: bytes) -> bool:
    return len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
