"""How records lie in a journal: length and CRC-32, both 32-bit little-endian, then the record in msgpack.

Space is reserved ahead, so what was never written reads as zeros: a length of zero is the end. A record whose bytes do
not match its CRC was being written when the machine stopped: it and what follows never happened.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec

from yizhan.purse.records import Record

HEAD = struct.Struct("<II")
RECORD_BYTES_MAX = 64 * 1024  # a record is a few hundred bytes; a longer length is garbage

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


class UnreadableRecord(ValueError):
    """A record that was written whole, but not by a version this one understands."""


def encode(record: Record) -> bytes:
    """Frame one record; raises ValueError when it is longer than a reader would accept."""
    payload = _encoder.encode(record)
    if len(payload) > RECORD_BYTES_MAX:
        raise ValueError(f"a journal record of {len(payload)} bytes is too long")
    return HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def read_records(data: bytes | memoryview, start: int = 0) -> Iterator[tuple[Record, int]]:
    """Read whole records from ``start`` on, each with the offset at which it ends.

    Stops without complaint at the end of what was written: a length of zero, or a torn tail. Raises UnreadableRecord
    for a whole record of an unknown kind, since skipping one would lose money silently.
    """
    view = memoryview(data)
    end = len(view)
    while start + HEAD.size <= end:
        length, crc = HEAD.unpack_from(view, start)
        after = start + HEAD.size + length
        if length == 0 or length > RECORD_BYTES_MAX or after > end:
            return
        payload = view[start + HEAD.size : after]
        if zlib.crc32(payload) != crc:
            return
        try:
            record = _decoder.decode(payload)
        except msgspec.MsgspecError as error:
            raise UnreadableRecord(f"the journal's record at {start} cannot be read: {error}") from error
        yield record, after
        start = after


def pack(record: Record) -> bytes:
    """Encode a record without its frame, for keeping it elsewhere."""
    return _encoder.encode(record)


def unpack(payload: bytes) -> Record:
    """Decode what ``pack`` made."""
    return _decoder.decode(payload)
