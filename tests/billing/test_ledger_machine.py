"""Any order of what can happen to money, crashes and repeats included, leaves books that are right."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.billing.books import Books, Gateway, closed, opened, progressed
from tests.store_servers import PostgresServer

from yizhan.store.engine import Database
from yizhan.store.tables import usage

WALLETS = 3
HOLD = 40


class _Process:
    """What a live gateway knows: its holds, and the purse's identity granted - returned = free + held + spent."""

    def __init__(self, books: Books, name: str) -> None:
        self.gateway = Gateway(books, name)
        self.running: dict[str, int] = {}
        self.progress: dict[str, int] = {}
        self.held = [0] * WALLETS
        self.spent = [0] * WALLETS


class LedgerMachine(RuleBasedStateMachine):
    """Wallets, gateways that borrow, spend, crash and are replaced; a model of what was charged beside them."""

    url: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(self.fresh(Path(self.folder.name)))
        self.books = Books(self.database)
        self.wallets = [self.books.wallet() for _ in range(WALLETS)]
        self.paid = [0] * WALLETS
        self.processes: list[_Process] = []
        self.dead: list[_Process] = []
        self.started = 0
        self.over = [0] * WALLETS  # charged beyond holds
        self.charged: dict[str, tuple[int, int]] = {}  # request → wallet's index and what its closing says
        self.open_forever: dict[str, tuple[int, int]] = {}  # died with its process → last progress

    def fresh(self, folder: Path) -> str:
        raise NotImplementedError

    def free(self, process: _Process, which: int) -> int:
        gateway, wallet = process.gateway, self.wallets[which]
        lent = gateway.granted.get(wallet, 0) - gateway.returned.get(wallet, 0)
        return lent - process.held[which] - process.spent[which]

    @initialize()
    def begin(self) -> None:
        self.start()
        self.start()

    def start(self) -> None:
        self.started += 1
        self.processes.append(_Process(self.books, f"g-{self.started}"))

    @rule(which=st.integers(0, WALLETS - 1), amount=st.integers(1, 200))
    def topup(self, which: int, amount: int) -> None:
        reference = f"pay-{sum(self.paid)}-{which}"
        self.books.topup(self.wallets[which], amount, reference)
        self.books.topup(self.wallets[which], amount, reference)
        self.paid[which] += amount

    @rule(data=st.data(), which=st.integers(0, WALLETS - 1), need=st.integers(0, 120), burn=st.integers(0, 300))
    def lend(self, data: st.DataObject, which: int, need: int, burn: int) -> None:
        process = data.draw(st.sampled_from(self.processes))
        before = self.books.show(self.wallets[which])
        loan = process.gateway.borrow(
            self.wallets[which], need, burn=burn, share_ppm=500_000, lost=data.draw(st.booleans())
        )
        after = self.books.show(self.wallets[which])
        if after.leased > before.leased:
            assert after.leased <= after.balance
        if loan.short:
            assert after.leased <= before.leased

    @rule(data=st.data(), which=st.integers(0, WALLETS - 1), lost=st.booleans())
    def take_back(self, data: st.DataObject, which: int, lost: bool) -> None:
        process = data.draw(st.sampled_from(self.processes))
        wallet, idle = self.wallets[which], self.free(process, which)
        if idle > 0:
            process.gateway.returned[wallet] = process.gateway.returned.get(wallet, 0) + idle
            if not lost:
                process.gateway.say_returned(wallet, process.gateway.returned[wallet])

    @rule(data=st.data(), which=st.integers(0, WALLETS - 1))
    def open(self, data: st.DataObject, which: int) -> None:
        process = data.draw(st.sampled_from(self.processes))
        if self.free(process, which) < HOLD:
            return
        request = f"r{len(self.charged) + len(self.open_forever) + sum(len(p.running) for p in self.processes)}"
        process.held[which] += HOLD
        process.running[request] = which
        process.gateway.write(opened(request, self.wallets[which], hold=HOLD))

    @precondition(lambda self: any(process.running for process in self.processes))
    @rule(data=st.data(), charge=st.integers(0, HOLD))
    def report_progress(self, data: st.DataObject, charge: int) -> None:
        process = data.draw(st.sampled_from([one for one in self.processes if one.running]))
        request = data.draw(st.sampled_from(sorted(process.running)))
        process.progress[request] = charge
        process.gateway.write(progressed(request, charge))

    @precondition(lambda self: any(process.running for process in self.processes))
    @rule(data=st.data(), charge=st.one_of(st.integers(0, HOLD), st.integers(0, 2 * HOLD)))
    def close(self, data: st.DataObject, charge: int) -> None:
        process = data.draw(st.sampled_from([one for one in self.processes if one.running]))
        request = data.draw(st.sampled_from(sorted(process.running)))
        which = process.running.pop(request)
        process.held[which] -= HOLD
        process.spent[which] += charge
        self.over[which] += max(0, charge - HOLD)
        process.gateway.write(closed(request, charge))
        self.charged[request] = (which, charge)

    @rule(data=st.data(), again=st.booleans())
    def ship(self, data: st.DataObject, again: bool) -> None:
        gateway = data.draw(st.sampled_from(self.processes)).gateway
        end = data.draw(st.integers(gateway.position, len(gateway.written)))
        gateway.ship(start=0 if again else None, end=end)

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        process = self.processes.pop(data.draw(st.integers(0, len(self.processes) - 1)))
        for request, which in process.running.items():
            self.open_forever[request] = (which, process.progress.get(request, 0))
        self.dead.append(process)
        self.start()

    @precondition(lambda self: self.dead)
    @rule()
    def adopt(self) -> None:
        process = self.dead.pop()
        process.gateway.ship()
        process.gateway.end()
        process.gateway.end()

    @invariant()
    def the_books_are_right(self) -> None:
        report = self.books.verify()
        assert report.ok, report.reasons
        for which, wallet in enumerate(self.wallets):
            assert self.books.show(wallet).balance >= -self.over[which]

    def teardown(self) -> None:
        while self.dead:
            self.adopt()
        for process in self.processes:
            for request, which in process.running.items():
                self.open_forever[request] = (which, process.progress.get(request, 0))
            process.gateway.ship()
            process.gateway.end()
        ended = [*self.charged.values(), *self.open_forever.values()]
        for which, wallet in enumerate(self.wallets):
            shown = self.books.show(wallet)
            assert shown.balance == self.paid[which] - sum(charge for owner, charge in ended if owner == which)
            assert (shown.leased, shown.held) == (0, 0)
        assert self.books.rows(usage) == len(ended)
        self.the_books_are_right()
        self.database.close()
        self.folder.cleanup()


_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.mark.timeout(300)
def test_any_order_of_events_leaves_sqlite_s_books_right(migrated_file: Path) -> None:
    class OnSqlite(LedgerMachine):
        def fresh(self, folder: Path) -> str:
            shutil.copy(migrated_file, folder / "yizhan.db")
            return f"sqlite:///{folder}/yizhan.db"

    run_state_machine_as_test(
        OnSqlite,
        settings=settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=_QUIET),
    )


@pytest.mark.timeout(300)
def test_any_order_of_events_leaves_postgresql_s_books_right(postgres: PostgresServer) -> None:
    class OnPostgres(LedgerMachine):
        def fresh(self, folder: Path) -> str:
            return postgres.fresh()

    run_state_machine_as_test(
        OnPostgres,
        settings=settings(max_examples=5, stateful_step_count=25, deadline=None, suppress_health_check=_QUIET),
    )
