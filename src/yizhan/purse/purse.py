"""The money a gateway may spend without asking: leases on wallets, holds, settles.

The fast path is arithmetic. Where a lease does not cover a hold, the callers of that wallet wait in line while one
question goes to the control plane for all of them. Refusals are remembered shortly, so that an empty wallet under a
flood of requests costs the control plane next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from yizhan.clock import Clock
from yizhan.errors import InsufficientQuota, MoneyUnavailable
from yizhan.money import LARGEST, Money
from yizhan.purse.account import Account, Waiter
from yizhan.purse.ports import Lender, Loan

REFUSED_S = 0.2  # money that comes is announced, but other gateways' settles are not: look again so soon
RETRY_S = 1  # what a caller is told to wait when money could not be checked
SWEEPS = 2  # an account without a hold for so many sweeps is idle
SLICE = 500  # accounts looked at before the loop gets its turn

log = logging.getLogger(__name__)


class Purse:
    """All leases of one process."""

    def __init__(self, lender: Lender, *, clock: Clock) -> None:
        self._lender = lender
        self._clock = clock
        self._accounts: dict[int, Account] = {}  # kept for ever: the totals must not begin again within a journal
        self._warm: dict[int, Account] = {}  # those that may have idle money
        self._told: set[int] = set()  # wallets given back lately; told again when the link comes back
        self._told_before: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def held_at_once(self, wallet_id: int, amount: Money) -> bool:
        """Set money aside if the lease covers it and nobody stands in line for it; else ``hold`` has to ask."""
        need = int(amount)
        account = self._accounts.get(wallet_id) or self._account(wallet_id)
        if need <= account.free and not account.waiters:
            account.hold(need)
            return True
        return need <= 0

    async def hold(self, wallet_id: int, amount: Money) -> None:
        """Set money aside; does not suspend when the lease covers it.

        Raises InsufficientQuota, or MoneyUnavailable when nobody can say.
        """
        if not self.held_at_once(wallet_id, amount):
            await self._wait(self._accounts[wallet_id], int(amount))

    def settle(self, wallet_id: int, *, held: Money, charge: Money) -> None:
        """Release a hold and spend the charge; a charge over the hold may take the wallet below zero."""
        assert charge >= 0, "a charge takes money"
        account = self._accounts.get(wallet_id) or self._account(wallet_id)
        account.settle(int(held), int(charge))
        if account.waiters:
            self._serve(account)

    def lent(self, loan: Loan) -> None:
        """Take in a grant the moment its answer arrives; repeated and late answers change nothing."""
        account = self._accounts.get(loan.wallet_id) or self._account(loan.wallet_id)
        more = loan.granted - account.granted
        if more > 0:
            account.granted += more
            account.free += more
            account.elsewhere = max(0, account.elsewhere - more)
            self._warm[account.wallet_id] = account
            self._serve(account)

    def recalled(self, wallet_id: int) -> int:
        """Give back all that is idle of a wallet; returns the total given back since the journal began."""
        account = self._accounts.get(wallet_id)
        if account is None:
            return 0
        if account.give_back():
            self._told.add(wallet_id)
        return account.returned

    def credited(self, wallet_id: int | None) -> None:
        """Forget refusals of a wallet that got money; None means all of them."""
        accounts = self._accounts.values() if wallet_id is None else [self._accounts.get(wallet_id)]
        for account in accounts:
            if account is not None:
                account.dry_until = 0.0

    def reconnected(self) -> None:
        """Tell again what may have been lost with the connection."""
        for wallet_id in self._told | self._told_before:
            self._lender.give_back(wallet_id=wallet_id, returned=self._accounts[wallet_id].returned)

    def account(self, wallet_id: int) -> Account:
        """Show a wallet's lease; for figures and checks."""
        return self._accounts.get(wallet_id) or Account(wallet_id)

    async def sweep_for_ever(self, *, idle_s: float) -> None:
        """Give idle money back, until cancelled."""
        while True:
            await asyncio.sleep(idle_s / SWEEPS)
            await self.sweep()

    async def sweep(self) -> None:
        """Give back the money of accounts without a hold since the last sweeps."""
        if not self._lender.connected:
            return  # nobody would hear it
        self._told_before, self._told = self._told, set()
        for index, account in enumerate(list(self._warm.values())):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            account.quiet += 1
            if account.quiet < SWEEPS or account.waiters:
                continue
            if account.give_back():
                self._told.add(account.wallet_id)
                self._lender.give_back(wallet_id=account.wallet_id, returned=account.returned)
            if not account.held:
                del self._warm[account.wallet_id]

    # -- waiting for money --------------------------------------------------------------------------------------------

    def _account(self, wallet_id: int) -> Account:
        account = self._accounts[wallet_id] = Account(wallet_id)
        return account

    async def _wait(self, account: Account, need: int) -> None:
        if not account.waiters and self._clock.monotonic() < account.dry_until:
            missing = need - account.free - account.elsewhere
            if missing > 0:
                raise _refusal(need, missing)
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        account.waiters.append((need, granted))
        if not account.borrowing:
            account.borrowing = True
            task = loop.create_task(self._borrow(account), name=f"borrow for wallet {account.wallet_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.settle(account.wallet_id, held=Money(need), charge=Money(0))  # it came as the caller left
            raise

    def _serve(self, account: Account) -> bool:
        """Give money to the first in line; says whether anybody still waits."""
        waiters = account.waiters
        while waiters:
            need, granted = waiters[0]
            if not granted.done():
                if need > account.free:
                    return True
                account.hold(need)
                granted.set_result(None)
            waiters.popleft()
        return False

    async def _borrow(self, account: Account) -> None:
        """Ask until nobody waits: for all of them, then for as many of the first as there is money for."""
        wanted: int | None = None
        try:
            while self._serve(account):
                ask = min(wanted or _total(account.waiters), LARGEST // 4) - account.free
                loan = await self._lender.borrow(
                    wallet_id=account.wallet_id,
                    need=ask,
                    burn=account.burn(self._clock.monotonic()),
                    granted=account.granted,
                    returned=account.returned,
                )
                wanted = self._answered(account, loan, ask)
        except MoneyUnavailable:
            _fail(account.waiters)
        except Exception:
            log.exception("money could not be borrowed for wallet %d", account.wallet_id)
            _fail(account.waiters)
        finally:
            account.borrowing = False

    def _answered(self, account: Account, loan: Loan, asked: int) -> int | None:
        """Refuse those first in line for whom there is not enough; returns what to ask for next, if that is known."""
        self._serve(account)
        if loan.short <= 0:
            return None
        account.elsewhere = max(0, asked - loan.short)
        if not loan.unsure:
            account.dry_until = self._clock.monotonic() + REFUSED_S
        waiters = account.waiters
        while waiters:
            need, granted = waiters[0]
            missing = need - account.free - account.elsewhere
            if not granted.done():
                if missing <= 0:
                    return _fitting(waiters, account.free + account.elsewhere)
                granted.set_exception(_unavailable() if loan.unsure else _refusal(need, missing))
            waiters.popleft()
        return None


def _total(waiters: deque[Waiter]) -> int:
    return sum(need for need, granted in waiters if not granted.done())


def _fitting(waiters: deque[Waiter], money: int) -> int:
    """Add up the first waiters that so much money serves."""
    total = 0
    for need, granted in waiters:
        if not granted.done():
            if total + need > money:
                break
            total += need
    return total


def _fail(waiters: deque[Waiter]) -> None:
    while waiters:
        _, granted = waiters.popleft()
        if not granted.done():
            granted.set_exception(_unavailable())


def _refusal(need: int, missing: int) -> InsufficientQuota:
    return InsufficientQuota(
        f"the balance is too small: this request may cost up to ${Money(need).usd()}, "
        f"and ${Money(missing).usd()} of that is missing"
    )


def _unavailable() -> MoneyUnavailable:
    return MoneyUnavailable("the balance cannot be checked right now", retry_after_s=RETRY_S)
