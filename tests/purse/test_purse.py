from __future__ import annotations

import asyncio

import pytest
from tests.purse.twins import Bank, Lent, run, until

from yizhan.clock import SetClock
from yizhan.errors import InsufficientQuota, MoneyUnavailable
from yizhan.money import Money
from yizhan.purse.purse import Purse

PRICE = Money(1_000_000)
NOTHING = Money(0)


def test_a_hold_is_borrowed_for_and_a_settle_spends_the_charge(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 500
        await purse.hold(7, Money(200))
        purse.settle(7, held=Money(200), charge=Money(150))
        account = purse.account(7)
        assert (account.granted, account.free, account.held, account.spent) == (200, 50, 0, 150)
        assert bank.balances[7] == 300

    run(scenario())


def test_a_hold_the_lease_covers_does_not_suspend(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7], bank.extra = 500, 300
        await purse.hold(7, Money(100))
        with pytest.raises(StopIteration):
            purse.hold(7, Money(300)).send(None)
        assert purse.account(7).held == 400

    run(scenario())


def test_a_free_request_asks_for_nothing(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        await purse.hold(7, NOTHING)
        purse.settle(7, held=NOTHING, charge=NOTHING)
        assert bank.asked == []

    run(scenario())


def test_two_hundred_holds_against_money_for_twenty_give_twenty(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 20 * int(PRICE)
        answers = await asyncio.gather(*[purse.hold(7, PRICE) for _ in range(200)], return_exceptions=True)
        assert [answer for answer in answers if answer is None] == [None] * 20
        assert sum(isinstance(answer, InsufficientQuota) for answer in answers) == 180
        assert len(bank.asked) <= 3
        assert bank.balances[7] == 0

    run(scenario())


def test_waiters_are_served_first_come_first_served(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 60
        bank.gate = asyncio.Event()
        order: list[int] = []

        async def ask(amount: int) -> None:
            await purse.hold(7, Money(amount))
            order.append(amount)

        tasks = [asyncio.ensure_future(ask(amount)) for amount in (10, 20, 30)]
        await until(lambda: bool(bank.asked))
        bank.gate.set()
        await asyncio.gather(*tasks)
        assert order == [10, 20, 30]
        assert bank.asked == [(7, 60)]

    run(scenario())


def test_one_too_dear_does_not_stop_a_cheaper_one_behind_it(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 50
        dear, cheap, cheaper = await asyncio.gather(
            *[purse.hold(7, Money(amount)) for amount in (51, 45, 5)], return_exceptions=True
        )
        assert isinstance(dear, InsufficientQuota)
        assert (cheap, cheaper) == (None, None)

    run(scenario())


def test_a_refusal_names_the_amount_short_in_usd(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 400_000_000
        with pytest.raises(InsufficientQuota, match=r"\$1\.5, and \$1\.1 of that is missing"):
            await purse.hold(7, Money(1_500_000_000))

    run(scenario())


def test_a_refusal_is_remembered_shortly_and_a_credit_ends_it(purse: Purse, bank: Bank, clock: SetClock) -> None:
    async def scenario() -> None:
        for amount in (10, 10, 11):
            with pytest.raises(InsufficientQuota):
                await purse.hold(7, Money(amount))
        assert len(bank.asked) == 1
        bank.balances[7] = 10
        with pytest.raises(InsufficientQuota):
            await purse.hold(7, Money(10))
        clock.advance(0.21)
        await purse.hold(7, Money(10))
        with pytest.raises(InsufficientQuota):
            await purse.hold(7, Money(10))
        bank.balances[7] = 30
        purse.credited(8)
        purse.credited(7)
        await purse.hold(7, Money(10))
        with pytest.raises(InsufficientQuota):
            await purse.hold(7, Money(25))
        bank.balances[7] = 40
        purse.credited(None)
        await purse.hold(7, Money(25))

    run(scenario())


def test_a_remembered_refusal_lets_smaller_amounts_through(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 30
        with pytest.raises(InsufficientQuota):
            await purse.hold(7, Money(31))
        await purse.hold(7, Money(30))
        with pytest.raises(InsufficientQuota):
            await purse.hold(7, Money(1))
        assert len(bank.asked) == 2

    run(scenario())


def test_money_freed_meanwhile_serves_those_who_wait(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 100
        await purse.hold(7, Money(100))
        bank.gate = asyncio.Event()
        waiting = asyncio.ensure_future(purse.hold(7, Money(60)))
        await until(lambda: len(bank.asked) == 2)
        purse.settle(7, held=Money(100), charge=Money(30))
        await waiting
        bank.gate.set()
        assert purse.account(7).free == 10

    run(scenario())


def test_when_nobody_can_say_it_is_not_a_refusal(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.unsure = True
        with pytest.raises(MoneyUnavailable) as unsure:
            await purse.hold(7, Money(10))
        assert unsure.value.retry_after_s == 1
        bank.unsure = False
        for fault in (MoneyUnavailable("down"), RuntimeError("a fault of ours")):
            bank.fault = fault
            with pytest.raises(MoneyUnavailable):
                await purse.hold(7, Money(10))
        bank.fault = None
        bank.balances[7] = 10
        await purse.hold(7, Money(10))  # and none of it was remembered

    run(scenario())


def test_a_caller_who_leaves_while_waiting_holds_nothing(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 100
        bank.gate = asyncio.Event()
        leaving = [asyncio.ensure_future(purse.hold(7, Money(amount))) for amount in (10, 20)]
        staying = asyncio.ensure_future(purse.hold(7, Money(30)))
        await until(lambda: bool(bank.asked))
        for task in leaving:
            task.cancel()
        bank.gate.set()
        await staying
        account = purse.account(7)
        assert (account.held, account.free) == (30, 30)

    run(scenario())


def test_those_who_leave_the_middle_of_the_line_are_passed_over(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 50
        bank.gate = asyncio.Event()
        amounts = (60, 10, 20, 30, 30)
        tasks = [asyncio.ensure_future(purse.hold(7, Money(amount))) for amount in amounts]
        await until(lambda: bool(bank.asked))
        tasks[1].cancel()
        tasks[3].cancel()
        bank.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = [InsufficientQuota, asyncio.CancelledError, type(None), asyncio.CancelledError, type(None)]
        assert [type(answer) for answer in answers] == kinds
        assert bank.balances[7] == 0

    run(scenario())


def test_a_free_request_never_waits_for_money(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.gate = asyncio.Event()
        waiting = asyncio.ensure_future(purse.hold(7, Money(10)))
        await until(lambda: bool(bank.asked))
        await purse.hold(7, NOTHING)
        bank.gate.set()
        with pytest.raises(InsufficientQuota):
            await waiting

    run(scenario())


def test_all_callers_leaving_ends_the_asking(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.gate = asyncio.Event()
        leaving = [asyncio.ensure_future(purse.hold(7, Money(10))) for _ in range(3)]
        await until(lambda: bool(bank.asked))
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        bank.gate.set()
        await until(lambda: not purse.account(7).borrowing)
        assert len(bank.asked) == 1
        bank.fault = MoneyUnavailable("down")
        bank.gate.clear()
        leaving = [asyncio.ensure_future(purse.hold(8, Money(10))) for _ in range(2)]
        await until(lambda: len(bank.asked) == 2)
        leaving[0].cancel()
        bank.gate.set()
        one, other = await asyncio.gather(*leaving, return_exceptions=True)
        assert isinstance(one, asyncio.CancelledError)
        assert isinstance(other, MoneyUnavailable)

    run(scenario())


def test_a_grant_that_comes_as_the_caller_leaves_is_freed(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 100
        leaving = asyncio.ensure_future(purse.hold(7, Money(10)))
        bank.before_answer = leaving.cancel
        with pytest.raises(asyncio.CancelledError):
            await leaving
        account = purse.account(7)
        assert (account.held, account.free, account.spent) == (0, 10, 0)

    run(scenario())


def test_a_refused_caller_who_leaves_at_that_moment_changes_nothing(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        refused = asyncio.ensure_future(purse.hold(7, Money(10)))
        await until(lambda: purse.account(7).dry_until > 0)
        refused.cancel()
        await asyncio.gather(refused, return_exceptions=True)
        assert purse.account(7).held == 0

    run(scenario())


def test_only_a_charge_over_its_hold_passes_zero_and_is_made_up_first(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 100
        await purse.hold(7, Money(10))
        purse.settle(7, held=Money(10), charge=Money(25))
        assert purse.account(7).free == -15
        assert purse.recalled(7) == 0
        await purse.hold(7, Money(20))
        assert bank.asked[-1] == (7, 35)
        assert (purse.account(7).free, purse.account(7).spent) == (0, 25)

    run(scenario())


def test_a_hold_is_settled_once(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7] = 100
        await purse.hold(7, Money(10))
        purse.settle(7, held=Money(10), charge=NOTHING)
        with pytest.raises(AssertionError, match="once"):
            purse.settle(7, held=Money(10), charge=NOTHING)
        with pytest.raises(AssertionError, match="takes money"):
            purse.settle(7, held=NOTHING, charge=Money(-1))

    run(scenario())


def test_a_recall_gives_back_what_is_idle_and_keeps_what_is_held(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7], bank.extra = 1000, 900
        await purse.hold(7, Money(10))
        assert purse.recalled(7) == 900
        assert purse.recalled(7) == 900
        assert purse.recalled(99) == 0
        account = purse.account(7)
        assert (account.held, account.free, account.granted) == (10, 0, 910)

    run(scenario())


def test_repeated_and_late_answers_change_nothing(purse: Purse) -> None:
    purse.lent(Lent(7, 100))
    purse.lent(Lent(7, 100))
    purse.lent(Lent(7, 60))
    assert purse.account(7).free == 100


def test_idle_money_goes_back_but_not_under_running_requests(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        bank.balances[7], bank.extra = 1000, 90
        await purse.hold(7, Money(10))
        await purse.sweep()
        assert bank.balances[7] == 900
        bank.connected = False
        await purse.sweep()
        assert bank.balances[7] == 900
        bank.connected = True
        await purse.sweep()
        assert bank.balances[7] == 990
        await purse.sweep()
        assert purse.account(7).held == 10
        purse.settle(7, held=Money(10), charge=Money(4))
        await purse.sweep()
        assert bank.balances[7] == 996
        await purse.sweep()
        assert bank.balances[7] == 996

    run(scenario())


def test_the_sweep_leaves_accounts_alone_that_wait_and_lets_the_loop_breathe(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        for wallet_id in range(1000, 2000):
            bank.granted[wallet_id] = 5
            purse.lent(Lent(wallet_id, 5))
        bank.gate = asyncio.Event()
        waiting = asyncio.ensure_future(purse.hold(1000, Money(6)))
        await until(lambda: bool(bank.asked))
        sweeping = asyncio.ensure_future(purse.sweep_for_ever(idle_s=0.002))
        await until(lambda: len(bank.returned) == 999)
        assert purse.account(1000).free == 5
        sweeping.cancel()
        bank.balances[1000] = 1
        bank.gate.set()
        await waiting

    run(scenario())


def test_what_was_given_back_lately_is_told_again_to_a_new_connection(purse: Purse, bank: Bank) -> None:
    async def scenario() -> None:
        purse.lent(Lent(7, 100))
        assert purse.recalled(7) == 100
        purse.reconnected()
        assert bank.returned == {7: 100}

    run(scenario())


def test_the_last_minutes_spending_is_told(purse: Purse, bank: Bank, clock: SetClock) -> None:
    async def scenario() -> None:
        bank.balances[7] = 1000
        for seconds in (0.0, 30.0, 60.0, 120.0):
            clock.advance(seconds)
            await purse.hold(7, Money(100))
            purse.settle(7, held=Money(100), charge=Money(100))
        assert bank.burns == [0, 100, 133, 116]

    run(scenario())
