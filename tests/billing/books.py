"""A station's books, and gateways that write journals into them, for tests."""

from __future__ import annotations

import itertools

from sqlalchemy import Table, func, insert, select

from yizhan.billing import intake, leases, ledger, queries, verify
from yizhan.money import Money
from yizhan.protocols.usage import Usage
from yizhan.purse.frames import encode
from yizhan.purse.records import Closed, Opened, Progressed, Record
from yizhan.store.engine import Database
from yizhan.store.tables import users

NOW = 1_700_000_000_000


class Books:
    """A database with people in it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._names = itertools.count()

    def wallet(self, balance: int = 0) -> int:
        """Make a wallet with money in it."""
        with self.database.write() as c:
            name = f"user{next(self._names)}"
            user = c.execute(insert(users).values(name=name, created_ms=NOW).returning(users.c.id)).scalar_one()
            wallet = ledger.open_wallet(c, user_id=user, now_ms=NOW)
        if balance:
            self.topup(wallet, balance)
        return wallet

    def topup(self, wallet: int, amount: int, reference: str | None = None) -> int:
        with self.database.write() as c:
            return ledger.topup(
                c,
                wallet_id=wallet,
                amount=Money(amount),
                source="payment",
                actor="op",
                reference=reference,
                now_ms=NOW,
            )

    def correct(self, wallet: int, amount: int) -> int:
        with self.database.write() as c:
            return ledger.correct(
                c, wallet_id=wallet, amount=Money(amount), against="revenue", actor="op", memo="why", now_ms=NOW
            )

    def show(self, wallet: int) -> queries.Wallet:
        with self.database.read() as c:
            found = queries.wallet(c, wallet_id=wallet)
        assert found is not None
        return found

    def receipt(self, request_id: str) -> queries.Booked | None:
        with self.database.read() as c:
            return queries.receipt(c, request_id=request_id)

    def verify(self) -> verify.Report:
        with self.database.read() as c:
            return verify.verify(c)

    def rows(self, table: Table) -> int:
        with self.database.read() as c:
            count: int = c.execute(select(func.count()).select_from(table)).scalar_one()
            return count


class Gateway:
    """One process of a gateway: its journal as it lies on the disk, and what it knows of its leases."""

    def __init__(self, books: Books, journal: str = "g1-boot1") -> None:
        self.books = books
        self.journal = journal
        self.written = b""
        self.position = 0
        self.granted: dict[int, int] = {}
        self.returned: dict[int, int] = {}
        with books.database.write() as c:
            leases.open_journal(c, journal=journal, gateway="g1", now_ms=NOW)

    def borrow(self, wallet: int, need: int, *, burn: int = 0, share_ppm: int = 0, lost: bool = False) -> leases.Loan:
        with self.books.database.write(urgent=True) as c:
            loan = leases.lend(
                c,
                journal=self.journal,
                wallet_id=wallet,
                need=need,
                burn=burn,
                granted=self.granted.get(wallet, 0),
                returned=self.returned.get(wallet, 0),
                share_ppm=share_ppm,
                now_ms=NOW,
            )
        if not lost:
            self.granted[wallet] = loan.granted_total
        return loan

    def give_back(self, wallet: int, amount: int) -> None:
        self.returned[wallet] = self.returned.get(wallet, 0) + amount
        self.say_returned(wallet, self.returned[wallet])

    def say_returned(self, wallet: int, total: int) -> None:
        with self.books.database.write(urgent=True) as c:
            leases.take_back(c, journal=self.journal, wallet_id=wallet, returned=total)

    def write(self, *records: Record) -> None:
        self.written += b"".join(encode(record) for record in records)

    def ship(self, *, start: int | None = None, end: int | None = None) -> int:
        """Send the journal from ``start`` (where it was booked to) to ``end`` (all of it)."""
        offset = self.position if start is None else start
        with self.books.database.write(urgent=True) as c:
            self.position = intake.take_in(
                c, journal=self.journal, offset=offset, data=self.written[offset:end], now_ms=NOW
            )
        return self.position

    def end(self) -> None:
        with self.books.database.write(urgent=True) as c:
            intake.end_journal(c, journal=self.journal, offset=len(self.written), now_ms=NOW)


def opened(request_id: str, wallet: int, *, hold: int = 100, model: str = "m") -> Opened:
    return Opened(request_id, NOW, wallet, 1, 2, model, "chat", True, 7, 1_000_000, hold, "mine")


def progressed(request_id: str, charge: int, *, seconds: int = 5) -> Progressed:
    return Progressed(request_id, NOW + seconds * 1000, Usage(input=3, output=charge), charge, 9)


def closed(request_id: str, charge: int, *, status: str = "ok", usage: Usage | None = None) -> Closed:
    return Closed(request_id, NOW + 50, status, usage or Usage(input=1, output=2), charge, False, 4, 1, 20, 50, 200)
