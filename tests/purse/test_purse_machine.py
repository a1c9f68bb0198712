"""Whatever happens in whatever order, no money of a wallet appears or vanishes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.purse.twins import Bank, Lent

from yizhan.clock import SetClock
from yizhan.errors import InsufficientQuota, MoneyUnavailable
from yizhan.money import Money
from yizhan.purse.purse import Purse

WALLET = 7
AMOUNTS = st.integers(1, 60)


class TwoPurses(RuleBasedStateMachine):
    """Two gateways spend from one wallet with random holds, settles, recalls, credits and outages."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = SetClock()
        self.balance = [0]  # shared by both banks: one wallet
        self.banks = [SharedBank(self.balance), SharedBank(self.balance)]
        self.purses = [Purse(bank, clock=self.clock) for bank in self.banks]
        for bank, purse in zip(self.banks, self.purses, strict=True):
            bank.purse = purse
        self.credited = 0
        self.spent = 0
        self.over = 0
        self.held: list[tuple[int, int]] = []

    def teardown(self) -> None:
        self.loop.close()

    def play(self, work: Coroutine[None, None, None]) -> bool:
        try:
            self.loop.run_until_complete(work)
        except (InsufficientQuota, MoneyUnavailable):
            return False
        return True

    @rule(amount=AMOUNTS)
    def credit(self, amount: int) -> None:
        self.balance[0] += amount
        self.credited += amount
        for purse in self.purses:
            purse.credited(WALLET)

    @rule(which=st.integers(0, 1), amount=AMOUNTS)
    def hold(self, which: int, amount: int) -> None:
        purse = self.purses[which]
        reachable = self.balance[0] + purse.account(WALLET).free
        fits = amount <= reachable
        if self.play(purse.hold(WALLET, Money(amount))):
            self.held.append((which, amount))
            assert fits, "nobody spends what is not there"
        else:
            fresh = self.clock.monotonic() >= purse.account(WALLET).dry_until
            assert not fits or not fresh or self.banks[which].fault is not None

    @precondition(lambda self: bool(self.held))
    @rule(data=st.data(), over=st.integers(0, 20), share=st.integers(0, 100))
    def settle(self, data: st.DataObject, over: int, share: int) -> None:
        which, amount = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        charge = amount + over if share > 95 else amount * share // 100
        self.purses[which].settle(WALLET, held=Money(amount), charge=Money(charge))
        self.spent += charge
        self.over += max(0, charge - amount)

    @rule(which=st.integers(0, 1))
    def recall(self, which: int) -> None:
        self.banks[which].give_back(wallet_id=WALLET, returned=self.purses[which].recalled(WALLET))

    @rule(which=st.integers(0, 1))
    def sweep(self, which: int) -> None:
        self.play(self.purses[which].sweep())

    @rule(seconds=st.floats(0, 1))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(which=st.integers(0, 1), extra=st.integers(0, 50), down=st.booleans())
    def mood(self, which: int, extra: int, down: bool) -> None:
        self.banks[which].extra = extra
        self.banks[which].fault = MoneyUnavailable("away") if down else None

    @invariant()
    def nothing_appears_or_vanishes(self) -> None:
        accounts = [purse.account(WALLET) for purse in self.purses]
        assert self.balance[0] >= 0
        assert all(account.held >= 0 and account.spent >= 0 for account in accounts)
        assert self.balance[0] + sum(account.free + account.held for account in accounts) + self.spent == self.credited
        assert sum(account.held for account in accounts) == sum(amount for _, amount in self.held)
        assert sum(min(0, account.free) for account in accounts) >= -self.over, "only an over-hold passes zero"
        assert not any(account.waiters for account in accounts)


class SharedBank(Bank):
    """One gateway's window of a bank whose money both share."""

    def __init__(self, balance: list[int]) -> None:
        super().__init__()
        self.balance = balance

    def give_back(self, *, wallet_id: int, returned: int) -> None:
        self.balances[wallet_id] = self.balance[0]
        super().give_back(wallet_id=wallet_id, returned=returned)
        self.balance[0] = self.balances[wallet_id]

    async def borrow(self, *, wallet_id: int, need: int, burn: int, granted: int, returned: int) -> Lent:
        self.balances[wallet_id] = self.balance[0]
        try:
            return await super().borrow(wallet_id=wallet_id, need=need, burn=burn, granted=granted, returned=returned)
        finally:
            self.balance[0] = self.balances[wallet_id]


TestTwoPurses = TwoPurses.TestCase
TestTwoPurses.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
