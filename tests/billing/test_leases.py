from __future__ import annotations

import threading

import pytest
from tests.billing.books import NOW, Books, Gateway, closed, opened

from yizhan.billing import leases, queries


def test_money_is_lent_up_to_the_balance_and_not_beyond(books: Books) -> None:
    wallet = books.wallet(100)
    one, two = Gateway(books, "g1-a"), Gateway(books, "g2-b")
    assert one.borrow(wallet, 60) == leases.Loan(granted_total=60)
    assert two.borrow(wallet, 41) == leases.Loan(granted_total=0, short=1)
    assert two.borrow(wallet, 40) == leases.Loan(granted_total=40)
    assert books.show(wallet).leased == 100
    assert books.verify().ok


def test_beyond_the_need_the_last_minute_s_spend_is_lent_but_only_a_share_of_what_is_free(books: Books) -> None:
    wallet = books.wallet(1000)
    gateway = Gateway(books)
    assert gateway.borrow(wallet, 10, burn=50, share_ppm=100_000).granted_total == 50
    assert gateway.borrow(wallet, 10, burn=500, share_ppm=100_000).granted_total == 50 + 10 + 95


def test_a_need_over_the_share_is_lent_all_the_same(books: Books) -> None:
    wallet = books.wallet(1000)
    assert Gateway(books).borrow(wallet, 900, burn=5, share_ppm=100_000).granted_total == 900


def test_a_grant_whose_answer_was_lost_is_answered_again_and_not_added(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 60, lost=True)
    assert gateway.borrow(wallet, 60) == leases.Loan(granted_total=60)
    assert books.show(wallet).leased == 60


def test_a_lost_grant_counts_towards_a_greater_need(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 60, lost=True)
    assert gateway.borrow(wallet, 70) == leases.Loan(granted_total=70)


def test_what_is_given_back_is_free_again_however_often_it_is_said(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 100)
    gateway.give_back(wallet, 30)
    gateway.say_returned(wallet, 30)
    gateway.say_returned(wallet, 10)
    assert books.show(wallet).leased == 70
    assert Gateway(books, "g2-b").borrow(wallet, 30).granted_total == 30
    assert books.verify().ok


def test_a_return_that_was_lost_comes_with_the_next_question(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 100)
    gateway.returned[wallet] = 100
    assert gateway.borrow(wallet, 100) == leases.Loan(granted_total=200)
    assert books.show(wallet).leased == 100


def test_a_refusal_still_takes_in_the_return_it_came_with(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 100)
    gateway.returned[wallet] = 40
    assert gateway.borrow(wallet, 50) == leases.Loan(granted_total=100, short=10)
    assert books.show(wallet).leased == 60


def test_borrowing_after_a_charge_over_the_hold_fills_the_hole_without_lending(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 10)
    gateway.write(opened("r1", wallet, hold=10), closed("r1", 15))
    gateway.ship()
    assert (books.show(wallet).balance, books.show(wallet).leased) == (85, 0)
    assert gateway.borrow(wallet, 15).granted_total == 25  # the gateway stands at -5 and wants 10
    assert books.show(wallet).leased == 10
    assert books.verify().ok


def test_an_empty_wallet_still_lets_a_hole_be_filled(books: Books) -> None:
    wallet = books.wallet(10)
    gateway = Gateway(books)
    gateway.borrow(wallet, 10)
    gateway.write(opened("r1", wallet, hold=10), closed("r1", 15))
    gateway.ship()
    assert gateway.borrow(wallet, 5) == leases.Loan(granted_total=15)
    assert gateway.borrow(wallet, 1) == leases.Loan(granted_total=15, short=1)
    assert (books.show(wallet).balance, books.show(wallet).leased) == (-5, 0)


def test_ending_a_journal_frees_its_money_and_ends_its_lending(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 60)
    gateway.end()
    assert books.show(wallet).leased == 0
    gateway.say_returned(wallet, 60)  # it was on its way
    with pytest.raises(leases.NotLendable, match="ended"):
        gateway.borrow(wallet, 1)
    with pytest.raises(leases.NotLendable, match="ended"):
        Gateway(books)
    assert books.show(wallet).leased == 0
    assert books.verify().ok


def test_money_of_a_journal_whose_end_nobody_knows_stays_lent_until_it_speaks_again(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 60)
    with books.database.write() as c:
        leases.leave_unresolved(c, journal=gateway.journal)
    assert books.show(wallet).leased == 60
    report = books.verify()
    assert report.ok
    assert report.unresolved == (gateway.journal,)
    with pytest.raises(leases.NotLendable, match="unresolved"):
        gateway.borrow(wallet, 1)
    back = Gateway(books)
    back.granted = gateway.granted
    assert back.borrow(wallet, 1).granted_total == 61
    assert books.verify().unresolved == ()


def test_who_holds_money_of_a_wallet_is_listed(books: Books) -> None:
    wallet = books.wallet(100)
    Gateway(books, "g1-a").borrow(wallet, 60)
    with books.database.read() as c:
        assert queries.lent(c, wallet_id=wallet) == [queries.Lease("g1-a", "g1", wallet, 60, 0, 0, "open")]


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ({"granted": 61}, "claims more"),
        ({"returned": 61}, "gives back more"),
        ({"need": -1}, "below zero"),
        ({"burn": -1}, "below zero"),
        ({"wallet_id": 99_999}, "no wallet"),
        ({"journal": "other"}, "unknown"),
    ],
)
def test_questions_that_make_no_sense_are_refused(books: Books, claim: dict[str, object], sentence: str) -> None:
    wallet = books.wallet(100)
    Gateway(books).borrow(wallet, 60)
    question: dict[str, object] = {
        "journal": "g1-boot1",
        "wallet_id": wallet,
        "need": 1,
        "burn": 0,
        "granted": 60,
        "returned": 0,
    }
    with pytest.raises(leases.NotLendable, match=sentence), books.database.write() as c:
        leases.lend(c, **{**question, **claim}, share_ppm=0, now_ms=NOW)  # type: ignore[arg-type]
    assert books.show(wallet).leased == 60


def test_totals_of_a_lease_that_was_never_made_are_refused(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.say_returned(wallet, 0)
    with pytest.raises(leases.NotLendable, match="never lent"):
        gateway.say_returned(wallet, 1)
    gateway.granted[wallet] = 5
    with pytest.raises(leases.NotLendable, match="never lent"):
        gateway.borrow(wallet, 1)


def test_gateways_asking_at_once_never_get_more_than_there_is(books: Books) -> None:
    wallet = books.wallet(100)
    gateways = [Gateway(books, f"g-{number}") for number in range(8)]
    barrier = threading.Barrier(len(gateways))
    got: list[int] = []

    def ask(gateway: Gateway) -> None:
        barrier.wait(10)
        for _ in range(4):
            before = gateway.granted.get(wallet, 0)
            got.append(gateway.borrow(wallet, 7).granted_total - before)

    threads = [threading.Thread(target=ask, args=(gateway,)) for gateway in gateways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(got) == 32
    assert sum(got) == 98  # 14 times 7; 2 are left, which nobody wanted
    assert books.show(wallet).leased == 98
    assert books.verify().ok


def test_announcing_a_journal_again_changes_nothing(books: Books) -> None:
    wallet = books.wallet(100)
    Gateway(books).borrow(wallet, 60)
    again = Gateway(books)
    again.granted[wallet] = 60
    assert again.borrow(wallet, 40).granted_total == 100


def test_money_given_back_after_a_charge_took_it_too_frees_nothing(books: Books) -> None:
    wallet = books.wallet(100)
    gateway = Gateway(books)
    gateway.borrow(wallet, 10)
    gateway.write(opened("r1", wallet, hold=5), closed("r1", 10))
    gateway.ship()
    gateway.give_back(wallet, 5)
    assert books.show(wallet).leased == 0
    assert books.verify().ok
