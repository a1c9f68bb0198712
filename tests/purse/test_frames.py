from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan.protocols.usage import Usage
from yizhan.purse.frames import HEAD, RECORD_BYTES_MAX, UnreadableRecord, encode, pack, read_records, unpack
from yizhan.purse.records import Closed, Opened, Progressed, Record

_ids = st.text(max_size=30)
_amounts = st.integers(0, 2**63 - 1)
_usages = st.builds(Usage, input=_amounts, output=_amounts)
RECORDS = st.one_of(
    st.builds(
        Opened, _ids, _amounts, _amounts, _amounts, _amounts, _ids, _ids, st.booleans(), _amounts, _amounts, _amounts
    ),
    st.builds(Progressed, _ids, _amounts, _usages, _amounts),
    st.builds(Closed, _ids, _amounts, _ids, _usages, _amounts, st.booleans()),
)


@given(st.lists(RECORDS, max_size=5), st.integers(0, 100))
def test_what_was_written_is_read_up_to_the_reserved_space(records: list[Record], reserved: int) -> None:
    data = b"".join(map(encode, records))
    found = list(read_records(data + bytes(reserved)))
    assert [record for record, _ in found] == records
    assert [end for _, end in found][-1:] == ([len(data)] if records else [])


@given(st.lists(RECORDS, min_size=1, max_size=3), st.data())
def test_a_tail_cut_anywhere_leaves_the_whole_records_before_it(records: list[Record], data: st.DataObject) -> None:
    frames = [encode(record) for record in records]
    whole = b"".join(frames)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(map(len, frames[: number + 1])) for number in range(len(frames))]
    assert [end for _, end in read_records(memoryview(whole)[:cut])] == [end for end in ends if end <= cut]


@given(RECORDS, RECORDS, st.data())
def test_a_byte_that_changed_hides_its_record_and_all_after_it(one: Record, two: Record, data: st.DataObject) -> None:
    frame = bytearray(encode(one))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    assert list(read_records(bytes(frame) + encode(two))) == []


def test_reading_begins_where_it_is_told_to() -> None:
    first, second = encode(Progressed("a", 1, Usage(), 5)), encode(Progressed("b", 2, Usage(), 6))
    assert list(read_records(first + second, len(first))) == [
        (Progressed("b", 2, Usage(), 6), len(first) + len(second))
    ]


def test_a_whole_record_of_an_unknown_kind_is_not_passed_over() -> None:
    payload = msgspec.msgpack.encode([99, "x"])
    with pytest.raises(UnreadableRecord, match="at 0"):
        list(read_records(HEAD.pack(len(payload), zlib.crc32(payload)) + payload))


def test_a_length_that_no_record_has_ends_the_reading() -> None:
    payload = bytes(RECORD_BYTES_MAX + 1)
    assert list(read_records(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)) == []


def test_a_record_no_reader_would_take_is_not_written() -> None:
    with pytest.raises(ValueError, match="too long"):
        encode(Progressed("x" * RECORD_BYTES_MAX, 1, Usage(), 5))


@given(RECORDS)
def test_a_record_kept_without_its_frame_comes_back(record: Record) -> None:
    assert unpack(pack(record)) == record
