from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.billing.books import Books, Gateway, closed, opened


@pytest.fixture
def wallet(books: Books) -> int:
    """A wallet with a booked, a running and a finished request: transaction 1 is the top-up, 2 the use."""
    wallet = books.wallet(1000)
    gateway = Gateway(books)
    gateway.borrow(wallet, 500)
    gateway.write(opened("r1", wallet), closed("r1", 70), opened("r2", wallet), opened("r3", wallet), closed("r3", 0))
    gateway.ship()
    return wallet


def test_books_that_are_right_are_clean(books: Books, wallet: int) -> None:
    report = books.verify()
    assert report.ok
    assert set(report.checks.values()) == {0}
    assert report.reasons == ()
    assert {name: report.counts[name] for name in ("wallets", "transactions", "entries", "usage", "running")} == {
        "wallets": 1,
        "transactions": 2,
        "entries": 4,
        "usage": 2,
        "running": 1,
    }


@pytest.mark.parametrize(
    ("damage", "check", "sentence"),
    [
        ("UPDATE entries SET amount = amount + 1 WHERE transaction_id = 1 AND amount > 0", "transactions sum to zero", "transaction 1 has 2 entries that sum to 1"),
        ("INSERT INTO transactions (id, at_ms, kind) VALUES (99, 1, 'topup')", "transactions sum to zero", "transaction 99 has 0 entries that sum to 0"),
        ("UPDATE wallets SET balance = balance + 5", "wallets equal their entries", "wallet 1 says 935, its entries 930"),
        ("DELETE FROM accounts WHERE wallet_id = 1 AND 1 = 0; UPDATE accounts SET wallet_id = NULL WHERE kind = 'wallet'", "wallets equal their entries", "wallet 1 says 930, its entries 0"),
        ("UPDATE usage SET transaction_id = NULL", "charges are tied to a transaction", "request r1 was charged 70, and no entry of its wallet says so"),
        ("UPDATE usage SET transaction_id = 1 WHERE charge <> 0", "charges are tied to a transaction", "request r1 was charged 70, and no entry of its wallet says so"),
        ("UPDATE usage SET charge = 71 WHERE request_id = 'r1'", "usage transactions equal their requests", "transaction 2 takes 70, its requests cost 71"),
        ("DELETE FROM usage WHERE request_id = 'r1'", "usage transactions equal their requests", "transaction 2 takes 70, its requests cost 0"),
        ("UPDATE usage SET transaction_id = 1 WHERE charge <> 0", "usage transactions equal their requests", "transaction 1 takes -1000, its requests cost 70"),
        ("UPDATE running SET request_id = 'r1'", "no request is booked and running", "request r1 is booked, and still counted as running"),
        ("UPDATE wallets SET leased = 431", "leased money is accounted for", "wallet 1 says 431 is lent, its leases 430"),
        ("UPDATE leases SET state = 'closed'", "leased money is accounted for", "wallet 1 says 430 is lent, its leases 0"),
        ("UPDATE journals SET state = 'ended'", "ended journals left nothing open", "journal g1-boot1 has ended, but not all of its leases and requests"),
        ("UPDATE wallets SET balance = -1", "wallets below zero are explained", "wallet 1 is at -1, and nothing explains it"),
    ],
)  # fmt: skip
def test_every_kind_of_damage_is_found_and_named(
    books: Books, wallet: int, damage: str, check: str, sentence: str
) -> None:
    with books.database.write() as c:
        for statement in damage.split(";"):
            c.execute(text(statement))
    report = books.verify()
    assert not report.ok
    assert report.checks[check] > 0
    assert sentence in report.reasons
