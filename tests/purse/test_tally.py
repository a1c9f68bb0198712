from __future__ import annotations

from pathlib import Path

import pytest
from tests.purse.twins import Bank, FailingDisk, Lent, closed, opened

from yizhan.clock import SetClock
from yizhan.errors import MoneyUnavailable
from yizhan.money import Money
from yizhan.protocols.usage import Usage
from yizhan.purse import segments
from yizhan.purse.frames import read_records
from yizhan.purse.journal import Journal
from yizhan.purse.purse import Purse
from yizhan.purse.records import Progressed, Record
from yizhan.purse.tally import Tally


class Desk:
    """A purse with 1000 lent for wallet 7, and a journal."""

    def __init__(self, folder: Path, clock: SetClock) -> None:
        self.clock = clock
        self.disk = FailingDisk()
        self.journal = Journal.open(folder, "g-1", segment_bytes=65536, disk=self.disk)
        self.purse = Purse(Bank(), clock=clock)
        self.purse.lent(Lent(7, 1000))
        self.account = self.purse.account(7)

    def open(self, number: int = 1) -> Tally:
        self.account.hold(100)
        return Tally.open(self.purse, self.journal, self.clock, opened(number))

    def written(self) -> list[Record]:
        return [record for record, _ in read_records(segments.read(self.journal.files, 0, 1 << 20))]


@pytest.fixture
def desk(folder: Path, clock: SetClock) -> Desk:
    return Desk(folder, clock)


def test_a_request_opens_and_settles_once(desk: Desk) -> None:
    tally = desk.open()
    tally.settle(closed(charge=40))
    settled: bool = tally.settled
    assert settled
    assert desk.written() == [opened(), closed(charge=40)]
    assert (desk.account.free, desk.account.held, desk.account.spent) == (960, 0, 40)
    with pytest.raises(AssertionError, match="settled once"):
        tally.settle(closed(charge=40))
    with pytest.raises(AssertionError, match="no progress"):
        tally.progress(Usage(), Money(1), 1)
    assert desk.written() == [opened(), closed(charge=40)]
    assert desk.account.spent == 40


def test_a_void_is_a_settle_with_charge_0(desk: Desk) -> None:
    desk.open().settle(closed(charge=0))
    assert (desk.account.free, desk.account.held, desk.account.spent) == (1000, 0, 0)


def test_a_close_of_another_request_is_a_fault(desk: Desk) -> None:
    tally = desk.open(1)
    with pytest.raises(AssertionError, match="belongs"):
        tally.settle(closed(2))
    assert not tally.settled


def test_progress_is_journalled_every_few_seconds(desk: Desk, clock: SetClock) -> None:
    tally = desk.open()
    for second in range(11):
        assert tally.due is (second > 0 and second % 5 == 0)
        tally.progress(Usage(output=second), Money(second), 9)
        clock.advance(1)
    progressed = [record for record in desk.written() if isinstance(record, Progressed)]
    assert [(record.charge, record.usage.output, record.channel_id) for record in progressed] == [
        (5, 5, 9),
        (10, 10, 9),
    ]


def test_a_request_that_cannot_be_journalled_does_not_begin_and_frees_its_hold(desk: Desk) -> None:
    desk.disk.write_fault = "eio"
    with pytest.raises(MoneyUnavailable):
        desk.open()
    assert (desk.account.free, desk.account.held, desk.account.spent) == (1000, 0, 0)


def test_an_end_that_cannot_be_journalled_is_told_and_still_resolves_the_hold(desk: Desk, clock: SetClock) -> None:
    tally = desk.open()
    desk.disk.write_fault = "eio"
    clock.advance(6)
    tally.progress(Usage(), Money(1), 9)
    with pytest.raises(MoneyUnavailable):
        tally.settle(closed(charge=40))
    assert tally.settled
    assert (desk.account.held, desk.account.spent) == (0, 40)
