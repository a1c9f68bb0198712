from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.purse.twins import FailingDisk, closed, opened, run, until

from yizhan.errors import MoneyUnavailable
from yizhan.protocols.usage import Usage
from yizhan.purse import segments
from yizhan.purse.frames import encode, read_records
from yizhan.purse.journal import CLOSE_BYTES, Journal
from yizhan.purse.records import Progressed, Record
from yizhan.purse.segments import START, Damaged, Segment

SEGMENT = 65536
LIMIT = 1 << 20


@asynccontextmanager
async def a_journal(folder: Path, disk: FailingDisk | None = None, name: str = "g-1") -> AsyncIterator[Journal]:
    journal = Journal.open(folder, name, segment_bytes=SEGMENT, disk=disk)
    journal.start(sync_s=0.005)
    try:
        yield journal
    finally:
        await journal.stop()
        journal.release(delete=False)


def on_disk(folder: Path, name: str = "g-1") -> list[Record]:
    files, position, found = segments.listed(folder, name), 0, list[Record]()
    while data := segments.read(files, position, LIMIT):
        found += [record for record, _ in read_records(data)]
        position += len(data)
    return found


def fill(journal: Journal, first: int = 0) -> int:
    """Write requests until the journal takes no more; returns the number after the last."""
    number = first
    while journal.healthy:
        journal.write(opened(number, model="m" * 1000))
        journal.write(closed(number))
        number += 1
    return number


def test_a_record_is_in_the_file_when_write_returns(folder: Path) -> None:
    async def scenario() -> None:
        async with a_journal(folder) as journal:
            journal.write(opened(1))
            journal.write(Progressed("req_1", 5, Usage(output=3), 9))
            journal.write(closed(1))
            assert on_disk(folder) == [opened(1), Progressed("req_1", 5, Usage(output=3), 9), closed(1)]
            assert journal.position == sum(map(len, map(encode, on_disk(folder))))
            assert journal.running == 0

    run(scenario())


def test_it_is_locked_for_as_long_as_its_writer_lives(folder: Path) -> None:
    async def scenario() -> None:
        async with a_journal(folder):
            assert segments.locked(folder, "g-1") is None
            with pytest.raises(AssertionError, match="has a writer"):
                Journal.open(folder, "g-1", segment_bytes=SEGMENT)
        lock = segments.locked(folder, "g-1")
        assert lock is not None
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)

    run(scenario())


def test_records_reach_the_disk_in_groups(folder: Path) -> None:
    async def scenario() -> None:
        disk = FailingDisk()
        async with a_journal(folder, disk) as journal:
            for number in range(100):
                journal.write(opened(number))
            await until(lambda: disk.syncs > 0)
            assert disk.syncs < 5

    run(scenario())


def test_segments_rotate_into_space_reserved_before_it_was_needed(folder: Path) -> None:
    async def scenario() -> None:
        number = 0
        async with a_journal(folder) as journal:
            while len(journal.files) < 4:
                number = fill(journal, number)
                await until(lambda: journal.healthy)
            starts = [segment.start for segment in journal.files]
            assert starts == sorted(set(starts))
        assert on_disk(folder) == [record for n in range(number) for record in (opened(n, model="m" * 1000), closed(n))]
        assert len(list(folder.iterdir())) == 4 + 1  # what was reserved in vain is gone

    run(scenario())


def test_taken_segments_are_deleted_and_the_current_one_stays(folder: Path) -> None:
    async def scenario() -> None:
        async with a_journal(folder) as journal:
            fill(journal)
            await until(lambda: journal.healthy)
            fill(journal)
            second = journal.files[1].start
            await journal.drop_before(second - 1)
            assert len(journal.files) == 2
            await journal.drop_before(journal.position)
            assert [segment.start for segment in journal.files] == [second]
            assert segments.listed(folder, "g-1") == journal.files

    run(scenario())


def test_a_journal_that_cannot_begin_leaves_nothing_behind(folder: Path) -> None:
    disk = FailingDisk()
    disk.full = True
    with pytest.raises(OSError, match="No space"):
        Journal.open(folder, "g-1", segment_bytes=SEGMENT, disk=disk)
    assert list(folder.iterdir()) == []
    with pytest.raises(OSError, match=r"File too large|Invalid argument|No space"):
        Journal.open(folder, "g-1", segment_bytes=1 << 62)
    assert list(folder.iterdir()) == []


def test_without_space_new_requests_are_refused_and_running_ones_can_close(folder: Path) -> None:
    async def scenario() -> None:
        disk = FailingDisk()
        async with a_journal(folder, disk) as journal:
            disk.full = True
            number = 0
            with pytest.raises(MoneyUnavailable):  # noqa: PT012
                while True:
                    journal.write(opened(number))
                    number += 1
            assert not journal.healthy
            for n in range(number):
                journal.write(closed(n))
            with pytest.raises(MoneyUnavailable):
                journal.write(opened(number, model="m" * 60_000))
            disk.full = False
            await until(lambda: journal.healthy)
            journal.write(opened(number))
        assert len(on_disk(folder)) == 2 * number + 1

    run(scenario())


@pytest.mark.parametrize("fault", ["eio", "short"])
def test_a_failed_write_is_cut_and_a_close_is_written_later(folder: Path, fault: str) -> None:
    async def scenario() -> None:
        disk = FailingDisk()
        async with a_journal(folder, disk) as journal:
            journal.write(opened(1))
            journal.write(opened(2))
            journal.write(opened(3))
            disk.full, disk.write_fault = True, fault
            with pytest.raises(MoneyUnavailable):
                journal.write(closed(1))
            with pytest.raises(MoneyUnavailable):
                journal.write(closed(2))
            with pytest.raises(MoneyUnavailable):
                journal.write(opened(4))
            assert on_disk(folder) == [opened(1), opened(2), opened(3)]
            disk.full, disk.write_fault = False, None
            await until(lambda: journal.healthy)
            journal.write(closed(3))
        assert on_disk(folder) == [opened(1), opened(2), opened(3), closed(1), closed(2), closed(3)]

    run(scenario())


def test_a_disk_that_does_not_sync_stops_new_requests(folder: Path) -> None:
    async def scenario() -> None:
        disk = FailingDisk()
        async with a_journal(folder, disk) as journal:
            disk.sync_fails = True
            journal.write(opened(1))
            await until(lambda: not journal.healthy)
            journal.write(closed(1))
            with pytest.raises(MoneyUnavailable):
                journal.write(opened(2))
            disk.sync_fails = False
            await until(lambda: journal.healthy)
        assert on_disk(folder) == [opened(1), closed(1)]

    run(scenario())


def test_a_rotation_that_fails_to_write_its_head_recovers(folder: Path) -> None:
    async def scenario() -> None:
        disk = FailingDisk()
        async with a_journal(folder, disk) as journal:
            number = 0
            while journal._at * 2 <= SEGMENT:
                journal.write(opened(number, model="m" * 1000))
                number += 1
            journal._wake.set()
            await until(lambda: journal._next is not None)
            room = SEGMENT - journal._at
            while room > 1500:
                journal.write(opened(number, model="m" * 1000))
                number += 1
                room = SEGMENT - journal._at
            disk.write_fault = "short"
            with pytest.raises(MoneyUnavailable):
                journal.write(opened(number, model="m" * 2000))
            disk.write_fault = None
            await until(lambda: journal.healthy)
            journal.write(opened(number, model="m" * 2000))
        assert len(on_disk(folder)) == number + 1
        assert on_disk(folder)[-1] == opened(number, model="m" * 2000)

    run(scenario())


def test_closes_beyond_the_room_set_aside_wait_for_the_next_segment(folder: Path) -> None:
    async def scenario() -> None:
        disk = FailingDisk()
        async with a_journal(folder, disk) as journal:
            disk.full = True
            number = 0
            while journal.healthy:
                journal.write(opened(number))
                number += 1
            long = [msgspec.structs.replace(closed(n), error_code="e" * 2000) for n in range(number)]
            kept = 0
            for record in long:
                try:
                    journal.write(record)
                except MoneyUnavailable:
                    kept += 1
            assert kept > 0
            disk.full = False
            await until(lambda: journal.healthy)
            await until(lambda: not journal._backlog)
        assert set(on_disk(folder)) == {*(opened(n) for n in range(number)), *long}

    run(scenario())


def test_a_stopped_journal_takes_no_more_requests_and_can_be_deleted(folder: Path) -> None:
    async def scenario() -> None:
        journal = Journal.open(folder, "g-1", segment_bytes=SEGMENT)
        journal.write(opened(1))
        await journal.stop()
        with pytest.raises(MoneyUnavailable):
            journal.write(opened(2))
        journal.write(closed(1))
        journal.release(delete=True)
        assert list(folder.iterdir()) == []

    run(scenario())


def test_a_close_fits_into_the_room_set_aside_for_it() -> None:
    full = closed(1)
    assert len(encode(full)) < CLOSE_BYTES / 4


LONG = 9_000


@given(count=st.integers(0, 12), cut=st.floats(0, 1), noise=st.binary(max_size=40))
def test_a_tail_torn_anywhere_leaves_exactly_the_whole_records_before(
    tmp_path_factory: pytest.TempPathFactory, count: int, cut: float, noise: bytes
) -> None:
    records = [opened(n, model="m" * (n * n)) for n in range(count)]
    data = b"".join(map(encode, records))
    at = round(cut * len(data))
    path = tmp_path_factory.mktemp("torn") / "g-1.000000"
    written = data[:at] + noise  # noise may happen to be what was cut off
    whole, end = 0, 0
    while whole < count and written.startswith(encode(records[whole]), end):
        end += len(encode(records[whole]))
        whole += 1
    path.write_bytes(START.pack(segments.MAGIC, 0) + written + bytes(64))
    read = segments.read(segments.listed(path.parent, "g-1"), 0, LIMIT)
    assert [record for record, _ in read_records(read)] == records[:whole]


def test_a_piece_ends_with_a_whole_record(tmp_path: Path) -> None:
    records = [opened(n, model="m" * LONG) for n in range(100)]
    (tmp_path / "g-1.000000").write_bytes(START.pack(segments.MAGIC, 0) + b"".join(map(encode, records)))
    files, position, found, pieces = segments.listed(tmp_path, "g-1"), 0, list[Record](), 0
    while data := segments.read(files, position, 100_000):
        found += [record for record, _ in read_records(data)]
        position += len(data)
        pieces += 1
    assert found == records
    assert pieces == 10
    assert segments.read([], 0, LIMIT) == b""


def test_missing_records_in_the_middle_are_damage(tmp_path: Path) -> None:
    data = encode(opened(1))
    first, second = tmp_path / "g-1.000000", tmp_path / "g-1.000001"
    first.write_bytes(START.pack(segments.MAGIC, 0) + data[:-1] + b"?" + bytes(100))
    second.write_bytes(START.pack(segments.MAGIC, len(data)) + data)
    (tmp_path / "g-1.000002").write_bytes(bytes(100))  # reserved, never begun
    files = segments.listed(tmp_path, "g-1")
    assert files == [Segment(first, 0), Segment(second, len(data))]
    with pytest.raises(Damaged, match="cannot be read"):
        segments.read(files, 0, LIMIT)
    with pytest.raises(Damaged, match="is gone"):
        segments.read(files[1:], 0, LIMIT)
    assert segments.read(files, len(data), LIMIT) == data
