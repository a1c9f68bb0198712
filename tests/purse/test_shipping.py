from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from tests.purse.twins import Vault, closed, opened, run, until

from yizhan.errors import MoneyUnavailable
from yizhan.purse import segments
from yizhan.purse.journal import Journal
from yizhan.purse.records import Record
from yizhan.purse.shipping import Shipper


def a_journal(folder: Path, name: str = "g-1") -> Journal:
    return Journal.open(folder, name, segment_bytes=65536)


def requests(count: int) -> list[Record]:
    return [record for n in range(count) for record in (opened(n), closed(n))]


def write(journal: Journal, count: int) -> None:
    for record in requests(count):
        journal.write(record)


async def dead_journal(folder: Path, name: str, count: int) -> None:
    """Leave a journal behind as a process that was killed would."""
    journal = a_journal(folder, name)
    write(journal, count)
    await journal.stop()
    journal.release(delete=False)


def test_records_are_sent_as_they_are_written_and_all_at_the_end(folder: Path, vault: Vault) -> None:
    async def scenario() -> None:
        journal = a_journal(folder)
        shipper = Shipper(journal, vault)
        shipper.start()
        write(journal, 3)
        await until(lambda: len(vault.records.get("g-1", [])) == 6)
        write(journal, 5)
        await journal.stop()
        await shipper.stop(within_s=5)
        assert vault.records["g-1"] == requests(3) + requests(5)
        assert vault.ended == {"g-1": journal.position}
        assert list(folder.iterdir()) == []

    run(scenario())


def test_while_nobody_answers_journals_wait_and_then_go_on(folder: Path, vault: Vault) -> None:
    async def scenario() -> None:
        vault.away = True
        journal = a_journal(folder)
        shipper = Shipper(journal, vault)
        write(journal, 3)
        with pytest.raises(MoneyUnavailable):
            await shipper.ship_own()
        vault.away = False
        await shipper.ship_own()
        await shipper.ship_own()
        assert vault.records["g-1"] == requests(3)
        assert len(vault.pieces) == 1
        journal.release(delete=True)

    run(scenario())


def test_taken_segments_are_deleted(folder: Path, vault: Vault) -> None:
    async def scenario() -> None:
        journal = a_journal(folder)
        journal.start(sync_s=0.005)
        shipper = Shipper(journal, vault)
        while len(journal.files) < 3:
            await until(lambda: journal.healthy)
            write(journal, 1)
        await shipper.ship_own()
        assert len(segments.listed(folder, "g-1")) == 1
        await journal.stop()
        journal.release(delete=True)

    run(scenario())


def test_what_cannot_be_sent_before_stopping_is_adopted_by_another_process(folder: Path, vault: Vault) -> None:
    async def scenario() -> None:
        vault.away = True
        journal = a_journal(folder)
        shipper = Shipper(journal, vault)
        shipper.start()
        write(journal, 3)
        await journal.stop()
        await shipper.stop(within_s=0.01)
        vault.away = False
        other = a_journal(folder, "g-2")
        shipper = Shipper(other, vault)
        shipper.start()
        await until(lambda: "g-1" in vault.ended)
        assert vault.records["g-1"] == requests(3)
        await other.stop()
        await shipper.stop(within_s=5)
        assert list(folder.iterdir()) == []

    run(scenario())


def test_orphans_are_taken_over_but_not_the_journals_of_the_living(folder: Path, vault: Vault) -> None:
    async def scenario() -> None:
        for name, count in (("a-1", 2), ("b-1", 0)):
            await dead_journal(folder, name, count)
        living = a_journal(folder, "c-1")
        journal = a_journal(folder)
        await Shipper(journal, vault).adopt()
        assert vault.records == {"a-1": requests(2)}
        assert set(vault.ended) == {"a-1", "b-1"}
        assert segments.journals(folder) == ["c-1", "g-1"]
        for kept in (living, journal):
            kept.release(delete=True)

    run(scenario())


def test_an_orphan_that_is_not_taken_does_not_stop_the_others(folder: Path, vault: Vault) -> None:
    async def scenario() -> None:
        for name in ("a-1", "b-1"):
            await dead_journal(folder, name, 1)
        vault.refused.add("a-1")
        journal = a_journal(folder)
        shipper = Shipper(journal, vault)
        with pytest.raises(MoneyUnavailable):
            await shipper.adopt()
        assert set(vault.ended) == {"b-1"}
        vault.refused.clear()
        await shipper.adopt()
        assert set(vault.ended) == {"a-1", "b-1"}
        journal.release(delete=True)

    run(scenario())


def test_an_adopted_journal_resumes_where_the_intake_stands(folder: Path, vault: Vault) -> None:
    async def scenario() -> None:
        first = a_journal(folder, "a-1")
        write(first, 2)
        await Shipper(first, vault).ship_own()
        write(first, 3)
        first.release(delete=False)
        journal = a_journal(folder)
        await Shipper(journal, vault).adopt()
        assert vault.records["a-1"] == requests(2) + requests(3)
        journal.release(delete=True)

    run(scenario())


def test_a_reserved_file_with_nothing_in_it_is_deleted_without_a_word(folder: Path, vault: Vault) -> None:
    async def scenario() -> None:
        journal = a_journal(folder)
        segments.path_of(folder, "a-1", 0).write_bytes(bytes(100))
        await Shipper(journal, vault).adopt()
        assert vault.ended == {}
        assert segments.journals(folder) == ["g-1"]
        journal.release(delete=True)

    run(scenario())


@pytest.mark.parametrize("how", ["gap", "stuck"])
def test_a_damaged_journal_is_kept_for_a_person_and_not_tried_again(
    folder: Path, vault: Vault, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        await dead_journal(folder, "a-1", 2)
        if how == "gap":
            segments.path_of(folder, "a-1", 0).rename(segments.path_of(folder, "a-1", 1))
            path = segments.path_of(folder, "a-1", 0)
            path.write_bytes(segments.START.pack(segments.MAGIC, 0) + bytes(100))
            later = segments.path_of(folder, "a-1", 1)
            later.write_bytes(segments.START.pack(segments.MAGIC, 50) + bytes(100))
        vault.stuck = how == "stuck"
        journal = a_journal(folder)
        shipper = Shipper(journal, vault)
        await shipper.adopt()
        await shipper.adopt()
        assert segments.journals(folder) == ["a-1", "g-1"]
        assert vault.ended == {}
        assert sum("damaged" in record.message for record in caplog.records) == 1
        journal.release(delete=True)

    run(scenario())


def test_a_fault_of_the_intake_is_logged_and_tried_again(
    folder: Path, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        vault.broken = RuntimeError("a fault of ours")
        journal = a_journal(folder)
        shipper = Shipper(journal, vault)
        shipper.start()
        write(journal, 1)
        await until(lambda: any(record.levelno == logging.ERROR for record in caplog.records))
        vault.broken = None
        await until(lambda: vault.records.get("g-1") == requests(1))
        await journal.stop()
        await shipper.stop(within_s=5)
        await asyncio.sleep(0)

    run(scenario())
