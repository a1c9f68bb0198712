from __future__ import annotations

import threading

import pytest
from tests.billing.books import NOW, Books, Gateway, closed, opened, progressed

from yizhan.billing import intake, queries
from yizhan.errors import DatabaseBusy
from yizhan.protocols.usage import Usage
from yizhan.purse.frames import encode
from yizhan.purse.records import Opened, Record
from yizhan.store.tables import running, strays, transactions, usage


@pytest.fixture
def wallet(books: Books) -> int:
    return books.wallet(1000)


@pytest.fixture
def gateway(books: Books, wallet: int) -> Gateway:
    gateway = Gateway(books)
    gateway.borrow(wallet, 500)
    return gateway


def test_a_request_is_booked_with_all_that_is_known_of_it(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet), closed("r1", 70, usage=Usage(input=1, cached_input=2, output=3)))
    gateway.ship()
    booked = books.receipt("r1")
    assert booked is not None
    assert booked.usage == Usage(input=1, cached_input=2, output=3)
    assert (booked.charge, booked.hold, booked.over_hold, booked.status) == (70, 100, False, "ok")
    assert (booked.model, booked.operation, booked.stream, booked.estimated) == ("m", "chat", True, False)
    assert (booked.user_id, booked.key_id, booked.price_version, booked.multiplier_ppm) == (1, 2, 7, 1_000_000)
    assert (booked.channel_id, booked.channel, booked.attempts, booked.http_status) == (4, None, 1, 200)
    assert (booked.first_byte_ms, booked.duration_ms, booked.client_request_id) == (20, 50, "mine")
    assert (books.show(wallet).balance, books.show(wallet).leased) == (930, 430)
    assert books.verify().ok


def test_one_batch_makes_one_transaction_a_wallet(books: Books, gateway: Gateway, wallet: int) -> None:
    other = books.wallet(1000)
    gateway.borrow(other, 100)
    before = books.rows(transactions)
    for number in range(10):
        gateway.write(opened(f"r{number}", (wallet, other)[number % 2]), closed(f"r{number}", 10))
    gateway.ship()
    assert books.rows(transactions) == before + 2
    assert (books.show(wallet).balance, books.show(other).balance) == (950, 950)
    with books.database.read() as c:
        assert [one.amount for one in queries.postings(c, wallet_id=wallet, limit=1)] == [-50]
    assert books.verify().ok


def test_a_request_without_a_charge_needs_no_transaction(books: Books, gateway: Gateway, wallet: int) -> None:
    before = books.rows(transactions)
    gateway.write(opened("r1", wallet), closed("r1", 0, status="upstream_failed"))
    gateway.ship()
    booked = books.receipt("r1")
    assert booked is not None
    assert (booked.transaction_id, booked.status) == (None, "upstream_failed")
    assert books.rows(transactions) == before
    assert books.verify().ok


def test_sending_again_changes_nothing(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet), closed("r1", 70))
    position = gateway.ship()
    assert gateway.ship(start=0) == position
    assert books.show(wallet).balance == 930


def test_what_overlaps_is_skipped(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet), closed("r1", 70))
    gateway.ship()
    gateway.write(opened("r2", wallet), closed("r2", 5))
    assert gateway.ship(start=0) == len(gateway.written)
    assert books.show(wallet).balance == 925
    assert books.verify().ok


def test_a_gap_is_refused_and_says_where_to_go_on(gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet))
    with pytest.raises(intake.JournalGap) as caught:
        gateway.ship(start=gateway.position + 1)
    assert caught.value.position == 0
    assert gateway.ship() == len(gateway.written)


def test_a_torn_record_waits_until_it_is_whole(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet))
    whole = len(gateway.written)
    gateway.write(closed("r1", 70))
    assert gateway.ship(end=len(gateway.written) - 1) == whole
    assert books.receipt("r1") is None
    gateway.ship()
    assert books.show(wallet).balance == 930


def test_a_running_request_is_held_against_what_is_available(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet, hold=100))
    gateway.ship()
    assert (books.show(wallet).balance, books.show(wallet).held, books.show(wallet).available) == (1000, 100, 900)
    gateway.write(closed("r1", 70))
    gateway.ship()
    assert (books.show(wallet).balance, books.show(wallet).held, books.rows(running)) == (930, 0, 0)
    assert books.verify().ok


def test_requests_opened_in_earlier_pieces_and_closed_in_one_leave_none_running(
    books: Books, gateway: Gateway, wallet: int
) -> None:
    for number in range(5):
        gateway.write(opened(f"r{number}", wallet))
        gateway.ship()
    gateway.write(*[closed(f"r{number}", 1) for number in range(4)])
    gateway.ship()
    assert books.rows(running) == 1
    assert books.verify().ok


def test_the_same_request_id_is_booked_once_whoever_says_it(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet), opened("r1", wallet), closed("r1", 70), closed("r1", 71), progressed("r1", 3))
    gateway.ship()
    gateway.write(opened("r1", wallet), progressed("r1", 4), closed("r1", 72))
    gateway.ship()
    other = Gateway(books, "g2-boot")
    other.write(opened("r1", wallet), closed("r1", 73))
    other.ship()
    assert (books.show(wallet).balance, books.rows(usage), books.rows(running), books.rows(strays)) == (930, 1, 0, 0)
    assert books.verify().ok


def test_an_opening_that_comes_twice_in_two_pieces_is_kept_once(books: Books, gateway: Gateway, wallet: int) -> None:
    for _ in range(2):
        gateway.write(opened("r1", wallet))
        gateway.ship()
    assert books.rows(running) == 1


def test_a_charge_over_the_lease_may_pass_zero_and_is_flagged(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 100)
    gateway.write(opened("r1", wallet, hold=100), closed("r1", 130))
    gateway.ship()
    booked, report = books.receipt("r1"), books.verify()
    assert booked is not None
    assert booked.over_hold
    assert (books.show(wallet).balance, books.show(wallet).leased) == (-30, 0)
    assert report.ok
    assert [one.reason for one in report.negative] == ["upstreams reported more than the holds"]


def test_a_charge_without_a_lease_is_booked_all_the_same(books: Books, wallet: int) -> None:
    gateway = Gateway(books)
    gateway.write(opened("r1", wallet), closed("r1", 70))
    gateway.ship()
    assert (books.show(wallet).balance, books.show(wallet).leased) == (930, 0)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ((closed("r1", 5),), "closed without an opening"),
        ((progressed("r1", 5),), "progress without an opening"),
        ((opened("r1", 99_999), closed("r1", 5)), "no such wallet"),
        ((opened("r1", 1), closed("r1", -5)), "no possible charge"),
        ((opened("r1", 1), closed("r1", 2**62)), "no possible charge"),
        ((opened("r1", 1), closed("r1", 5, usage=Usage(output=2**60))), "no possible count of tokens"),
        ((opened("r1", 1), closed("r1", 5, usage=Usage(output=-1))), "no possible count of tokens"),
    ],
)
def test_a_record_that_cannot_be_booked_is_kept_and_shown_and_stops_nothing(
    books: Books, records: tuple[Record, ...], reason: str
) -> None:
    wallet = books.wallet(1000)
    gateway = Gateway(books)
    gateway.write(*records, opened("r2", wallet), closed("r2", 70))
    assert gateway.ship() == len(gateway.written)
    report = books.verify()
    assert books.show(wallet).balance == 930
    assert not report.ok
    assert f"request r1 of journal g1-boot1 could not be booked: {reason}" in report.reasons


def test_texts_no_column_holds_are_cut(books: Books, gateway: Gateway, wallet: int) -> None:
    request = Opened("r1", NOW, wallet, 1, 2, "m\0" * 300, "chat", False, 7, 1_000_000, 100, "c" * 500)
    gateway.write(request, closed("r1", 70))
    gateway.ship()
    booked = books.receipt("r1")
    assert booked is not None
    assert (booked.model, booked.client_request_id) == ("m" * 255, "c" * 128)


def test_a_request_its_process_did_not_survive_is_charged_its_last_progress(
    books: Books, gateway: Gateway, wallet: int
) -> None:
    gateway.write(opened("r1", wallet), progressed("r1", 20))
    gateway.ship()
    gateway.write(progressed("r1", 30, seconds=10))
    gateway.ship()
    gateway.end()
    booked, report = books.receipt("r1"), books.verify()
    assert booked is not None
    assert (booked.status, booked.charge, booked.estimated, booked.channel_id) == ("interrupted", 30, True, 9)
    assert (booked.duration_ms, booked.usage) == (10_000, Usage(input=3, output=30))
    assert (books.show(wallet).balance, books.show(wallet).leased, books.rows(running)) == (970, 0, 0)
    assert (report.ok, report.interrupted, report.unknown) == (True, ("r1",), ())


def test_a_request_that_recorded_no_progress_is_unknown_and_free(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet))
    gateway.ship()
    gateway.end()
    gateway.end()
    booked, report = books.receipt("r1"), books.verify()
    assert booked is not None
    assert (booked.status, booked.charge, booked.estimated) == ("unknown", 0, True)
    assert books.show(wallet).balance == 1000
    assert (report.ok, report.unknown, report.counts["unknown"]) == (True, ("r1",), 1)


def test_a_request_left_running_that_cannot_be_booked_is_kept_too(books: Books, gateway: Gateway) -> None:
    gateway.write(opened("r1", 99_999), progressed("r1", 5))
    gateway.ship()
    gateway.end()
    assert books.rows(strays) == 2
    assert "request r1 of journal g1-boot1 could not be booked: no such wallet" in books.verify().reasons


def test_a_journal_that_reaches_further_cannot_end_yet(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet))
    with pytest.raises(intake.JournalGap):
        gateway.end()
    assert books.show(wallet).leased == 500


def test_an_ended_journal_takes_nothing_new_but_still_answers_what_it_has(
    books: Books, gateway: Gateway, wallet: int
) -> None:
    gateway.write(opened("r1", wallet), closed("r1", 70))
    gateway.ship()
    gateway.end()
    assert gateway.ship(start=0) == len(gateway.written)
    gateway.write(opened("r2", wallet))
    with pytest.raises(intake.JournalEnded):
        gateway.ship()
    assert books.show(wallet).balance == 930


def test_a_journal_nobody_announced_is_taken_in(books: Books, wallet: int) -> None:
    data = encode(opened("r1", wallet)) + encode(closed("r1", 70))
    with books.database.write() as c:
        assert intake.take_in(c, journal="gw-7-boot3", offset=0, data=data, now_ms=NOW) == len(data)
        assert queries.position_of(c, journal="gw-7-boot3") == len(data)
        assert queries.journals_in(c, state="open") == ["gw-7-boot3"]
    assert books.show(wallet).balance == 930


def test_a_batch_that_fails_leaves_nothing_behind(books: Books, gateway: Gateway, wallet: int) -> None:
    gateway.write(opened("r1", wallet), closed("r1", 70))

    def cut() -> None:
        with books.database.write() as c:
            intake.take_in(c, journal=gateway.journal, offset=0, data=gateway.written, now_ms=NOW)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cut()
    assert books.show(wallet).balance == 1000
    gateway.ship()
    assert books.show(wallet).balance == 930


def test_large_batches_of_many_wallets_balance(books: Books) -> None:
    wallets = [books.wallet(100) for _ in range(60)]
    gateway = Gateway(books)
    for number in range(1200):
        gateway.write(
            opened(f"r{number:04d}", wallets[number % 60], hold=1), closed(f"r{number:04d}", 0 if number % 3 else 1)
        )
    gateway.ship()
    gateway.ship(start=0)
    assert books.rows(usage) == 1200
    assert sum(books.show(wallet).balance for wallet in wallets) == 6000 - 400
    assert books.verify().ok


def test_journals_taken_in_at_once_book_everything_once(books: Books) -> None:
    wallets = [books.wallet(1000) for _ in range(4)]
    gateways = [Gateway(books, f"g-{number}") for number in range(4)]
    for number, gateway in enumerate(gateways):
        order = wallets[number:] + wallets[:number]  # whoever locks as it comes would deadlock
        for step in range(20):
            gateway.write(opened(f"r{number}-{step}", order[step % 4], hold=1), closed(f"r{number}-{step}", 1))
    barrier = threading.Barrier(8)

    def ship(gateway: Gateway) -> None:
        barrier.wait(10)
        piece = len(gateway.written) // 10
        while gateway.position < len(gateway.written):
            try:
                gateway.ship(end=gateway.position + 2 * piece)
            except DatabaseBusy:
                continue

    threads = [threading.Thread(target=ship, args=(gateway,)) for gateway in gateways for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [books.show(wallet).balance for wallet in wallets] == [980, 980, 980, 980]
    assert books.rows(usage) == 80
    assert books.verify().ok


def test_requests_are_listed_newest_first_by_person_time_and_status_in_pages(
    books: Books, gateway: Gateway, wallet: int
) -> None:
    for number in range(4):
        request = Opened(f"r{number}", NOW + number // 2, wallet, number % 2, 2, "m", "chat", False, 7, 1_000_000, 100)
        gateway.write(request, closed(f"r{number}", 1, status="ok" if number else "caller_left"))
    gateway.ship()

    def ids(**wanted: object) -> list[str]:
        with books.database.read() as c:
            return [one.request_id for one in queries.booked(c, limit=3, **wanted)]  # type: ignore[arg-type]

    assert ids() == ["r3", "r2", "r1"]
    assert ids(after=(NOW, "r1")) == ["r0"]
    assert ids(user_id=1) == ["r3", "r1"]
    assert ids(since_ms=NOW + 1) == ["r3", "r2"]
    assert ids(until_ms=NOW + 1) == ["r1", "r0"]
    assert ids(status="caller_left") == ["r0"]
