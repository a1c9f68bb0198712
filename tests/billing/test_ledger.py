from __future__ import annotations

import pytest
from tests.billing.books import NOW, Books, Gateway

from yizhan.billing import ledger, queries
from yizhan.errors import NoSuchWallet, NotThatMuch, ReferenceTaken
from yizhan.money import Money
from yizhan.store import changes
from yizhan.store.tables import transactions


def _refund(books: Books, wallet: int, amount: int, reference: str | None = None) -> int:
    with books.database.write() as c:
        return ledger.refund(
            c, wallet_id=wallet, amount=Money(amount), actor="op", reference=reference, now_ms=NOW, memo="asked"
        )


def test_a_topup_credits_the_wallet_and_tells_the_gateways(books: Books) -> None:
    wallet = books.wallet()
    books.topup(wallet, 500)
    assert books.show(wallet).balance == 500
    with books.database.read() as c:
        assert [(row.kind, row.key) for row in changes.since(c, 0) or []] == [("wallet", str(wallet))]
    assert books.verify().ok


def test_a_reference_is_posted_once(books: Books) -> None:
    wallet = books.wallet()
    assert books.topup(wallet, 500, "pay-1") == books.topup(wallet, 500, "pay-1")
    assert books.show(wallet).balance == 500


@pytest.mark.parametrize("amount", [499, 501])
def test_a_reference_with_another_amount_is_refused(books: Books, amount: int) -> None:
    wallet = books.wallet()
    books.topup(wallet, 500, "pay-1")
    with pytest.raises(ReferenceTaken):
        books.topup(wallet, amount, "pay-1")
    assert books.show(wallet).balance == 500


@pytest.mark.parametrize("amount", [0, -1])
def test_a_topup_of_nothing_is_refused(books: Books, amount: int) -> None:
    wallet = books.wallet()
    with pytest.raises(NotThatMuch):
        books.topup(wallet, amount)


def test_an_unknown_wallet_is_a_noun(books: Books) -> None:
    with pytest.raises(NoSuchWallet):
        books.topup(99, 1)


def test_a_refund_takes_money_out_once_for_a_reference(books: Books) -> None:
    wallet = books.wallet(500)
    assert _refund(books, wallet, 200, "back-1") == _refund(books, wallet, 200, "back-1")
    assert books.show(wallet).balance == 300
    assert books.verify().ok


@pytest.mark.parametrize("amount", [-1, 0, 401])
def test_a_refund_takes_nothing_that_is_lent(books: Books, amount: int) -> None:
    wallet = books.wallet(500)
    Gateway(books).borrow(wallet, 100)
    with pytest.raises(NotThatMuch, match=r"0\.0000004 USD"):
        _refund(books, wallet, amount)


def test_a_correction_is_a_new_entry_and_may_go_below_zero_which_verify_explains(books: Books) -> None:
    wallet = books.wallet(500)
    books.correct(wallet, -600)
    report = books.verify()
    assert books.show(wallet).balance == -100
    assert report.ok
    assert [(one.wallet_id, one.balance, one.reason) for one in report.negative] == [(wallet, -100, "corrections")]


def test_a_correction_with_a_reference_is_posted_once(books: Books) -> None:
    wallet = books.wallet(500)
    for _ in range(2):
        with books.database.write() as c:
            ledger.correct(
                c,
                wallet_id=wallet,
                amount=Money(7),
                against="promotion",
                actor="op",
                memo="sorry",
                now_ms=NOW,
                reference="c-1",
            )
    assert books.show(wallet).balance == 507


def test_a_transaction_that_does_not_sum_to_zero_cannot_be_posted(books: Books) -> None:
    wallet = books.wallet(500)
    before = books.rows(transactions)
    with books.database.read() as c:
        lines = [(ledger.wallet_account(c, wallet_id=wallet), Money(1)), (ledger.system_account(c, "cost"), Money(1))]
    with pytest.raises(AssertionError), books.database.write() as c:
        ledger.post(c, kind="correction", lines=lines, now_ms=NOW)
    assert books.rows(transactions) == before


def test_a_wallet_lists_its_postings_newest_first_in_pages(books: Books) -> None:
    wallet = books.wallet(500)
    books.correct(wallet, -1)
    with books.database.read() as c:
        first = queries.postings(c, wallet_id=wallet, limit=1)
        second = queries.postings(c, wallet_id=wallet, limit=5, before=first[0].id)
    assert [(one.kind, one.amount) for one in first + second] == [("correction", -1), ("topup", 500)]


def test_a_user_s_wallets_are_listed(books: Books) -> None:
    wallet = books.wallet(500)
    with books.database.read() as c:
        assert queries.wallets_of(c, user_id=books.show(wallet).user_id) == [books.show(wallet)]
        assert queries.wallet(c, wallet_id=wallet + 1) is None
