from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.link.peer import Peer
from tests.link.town import Gateway, Town, end_of
from tests.purse.twins import run, until

from yizhan.errors import InsufficientQuota, MoneyUnavailable
from yizhan.link import messages as m
from yizhan.money import Money
from yizhan.protocols.usage import Usage

PRICE = Money(1_000_000)
TWENTY = "0.02"


@asynccontextmanager
async def gateways(town: Town, *names: str) -> AsyncIterator[list[Gateway]]:
    async with AsyncExitStack() as stack:
        found = []
        for name in names:
            gateway = Gateway(town, name)
            await gateway.start()
            stack.push_async_callback(gateway.stop)
            found.append(gateway)
        await until(lambda: all(gateway.link.connected for gateway in found))
        yield found


def count(answers: list[object]) -> tuple[int, int, int]:
    """Count successes, refusals, and answers nobody could give."""
    return (
        sum(answer is None for answer in answers),
        sum(isinstance(answer, InsufficientQuota) for answer in answers),
        sum(isinstance(answer, MoneyUnavailable) for answer in answers),
    )


def test_two_hundred_requests_on_two_gateways_against_money_for_twenty(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        async with gateways(town, "a", "b") as both:
            answers = await asyncio.gather(
                *[both[n % 2].buy(f"req_{n}", wallet_id, PRICE) for n in range(200)], return_exceptions=True
            )
            assert count(list(answers)) == (20, 180, 0)
            await until(lambda: len(town.usage()) == 20)
        assert town.wallet(wallet_id) == (0, 0)
        assert set(town.usage().values()) == {("ok", int(PRICE))}

    run(scenario())


def test_fragments_on_other_gateways_are_gathered_before_a_refusal(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        async with gateways(town, "a", "b", "c") as (a, b, c):
            for gateway, held in ((a, 7), (b, 6), (c, 7)):
                await gateway.purse.hold(wallet_id, PRICE * held)
                gateway.purse.settle(wallet_id, held=PRICE * held, charge=Money(0))
            assert town.wallet(wallet_id) == (20 * PRICE, 20 * PRICE)
            await a.purse.hold(wallet_id, PRICE * 20)
            with pytest.raises(InsufficientQuota):
                await b.purse.hold(wallet_id, PRICE)
            assert b.purse.account(wallet_id).free == c.purse.account(wallet_id).free == 0
            a.purse.settle(wallet_id, held=PRICE * 20, charge=Money(0))
        assert town.wallet(wallet_id) == (20 * PRICE, 0)

    run(scenario())


def test_waiting_gateways_are_each_served_or_refused_never_both_left_empty(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        async with gateways(town, "a", "b") as both:
            for gateway in both:
                await gateway.purse.hold(wallet_id, PRICE * 10)
                gateway.purse.settle(wallet_id, held=PRICE * 10, charge=Money(0))
            answers = await asyncio.gather(
                *[gateway.purse.hold(wallet_id, PRICE * 20) for gateway in both], return_exceptions=True
            )
            assert count(list(answers)) == (1, 1, 0)
            winner = both[answers.index(None)]
            winner.purse.settle(wallet_id, held=PRICE * 20, charge=Money(0))

    run(scenario())


def test_money_that_comes_ends_a_refusal_within_a_second(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann")
        async with gateways(town, "a") as (a,):
            with pytest.raises(InsufficientQuota):
                await a.purse.hold(wallet_id, PRICE)
            town.credit(wallet_id, "1")
            town.server.nudge()
            await until(lambda: a.purse.account(wallet_id).dry_until == 0, within_s=1)
            await a.buy("req_1", wallet_id, PRICE)

    run(scenario())


def test_money_held_by_a_silent_gateway_gives_503_and_not_402(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        silent = await Peer.hello(town, "silent")
        await silent.say(m.Borrow(1, wallet_id, 20 * int(PRICE), 0, 0, 0))
        assert await silent.heard(m.Lent) == m.Lent(1, wallet_id, 20 * PRICE)
        async with gateways(town, "b") as (b,):
            waiting = asyncio.ensure_future(b.purse.hold(wallet_id, PRICE))
            recall = await silent.heard(m.Recall)
            with pytest.raises(MoneyUnavailable):
                await waiting
            await silent.say(m.Returned(recall.n, wallet_id, 20 * int(PRICE)))  # too late for that one
            await until(lambda: town.wallet(wallet_id)[1] == 0)
            await b.buy("req_1", wallet_id, PRICE)
        silent.close()

    run(scenario())


def test_a_gateway_that_hangs_up_when_asked_is_not_taken_for_empty(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        holder, other = await Peer.hello(town, "holder"), await Peer.hello(town, "other")
        await holder.say(m.Borrow(1, wallet_id, 20 * int(PRICE), 0, 0, 0))
        await holder.heard(m.Lent)
        await other.say(m.Borrow(1, wallet_id, 1, 0, 0, 0))
        await holder.heard(m.Recall)
        holder.close()
        answer = await other.heard(m.Lent)
        assert (answer.short, answer.unsure) == (1, True)
        other.close()

    run(scenario())


def test_a_gateway_missing_for_long_is_not_waited_for_and_may_come_back(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        town.server.stop()
        town.open(absent_s=0)
        lost, other = await Peer.hello(town, "lost"), await Peer.hello(town, "other")
        await lost.say(m.Borrow(1, wallet_id, 20 * int(PRICE), 0, 0, 0))
        await lost.heard(m.Lent)
        lost.close()
        await until(lambda: "lost-1" not in town.server._sessions)
        await other.say(m.Borrow(1, wallet_id, 1, 0, 0, 0))
        answer = await other.heard(m.Lent)
        assert (answer.short, answer.unsure) == (1, False)
        assert town.wallet(wallet_id)[1] == 20 * PRICE  # nothing is lent twice
        lost = await Peer.hello(town, "lost")
        await other.say(m.Borrow(2, wallet_id, 1, 0, 0, 0))
        recall = await lost.heard(m.Recall)
        await lost.say(m.Returned(recall.n, wallet_id, 20 * int(PRICE)))
        assert await other.heard(m.Lent) == m.Lent(2, wallet_id, 1)
        for peer in (lost, other):
            peer.close()

    run(scenario())


def test_one_recall_at_a_time_and_first_come_first_served(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        holder = await Peer.hello(town, "holder")
        await holder.say(m.Borrow(1, wallet_id, 20 * int(PRICE), 0, 0, 0))
        await holder.heard(m.Lent)
        peers = [await Peer.hello(town, name) for name in ("a", "b", "c")]
        for peer in peers:
            await peer.say(m.Borrow(1, wallet_id, 8 * int(PRICE), 0, 0, 0))
            await peer.say(m.OpenKey(2, b"?" * 32, 0))
            await peer.heard(m.KeyOpened)  # so the borrow before it stands in line
        peers[1].close()  # it leaves the line
        recall = await holder.heard(m.Recall)
        await holder.say(m.Returned(recall.n, wallet_id, 15 * int(PRICE)))
        assert (await peers[0].heard(m.Lent)).granted == 8 * PRICE
        second = await holder.heard(m.Recall)
        await holder.say(m.Returned(second.n, wallet_id, 15 * int(PRICE)))
        recalled = await peers[0].heard(m.Recall)
        await peers[0].say(m.Returned(recalled.n, wallet_id, 0))
        last = await peers[2].heard(m.Lent)
        assert (last.granted, last.short, last.unsure) == (0, PRICE, False)
        for peer in (holder, *peers):
            peer.close()

    run(scenario())


def test_the_money_of_a_gateway_that_died_comes_back_with_its_journal(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        async with gateways(town, "b") as (b,):
            a = Gateway(town, "a")
            await a.start()
            await until(lambda: a.link.connected)
            await a.buy("req_done", wallet_id, PRICE)
            await a.begin("req_unknown", wallet_id, PRICE * 2)
            tally = await a.begin("req_midway", wallet_id, PRICE * 5)
            tally._due = 0.0
            tally.progress(Usage(output=1), PRICE * 3, 1)
            await a.purse.hold(wallet_id, PRICE * 12)  # held, and nothing written yet
            for task in b.shipper._tasks:
                task.cancel()
            await a.die()
            with pytest.raises(MoneyUnavailable):  # nobody knows yet
                await b.purse.hold(wallet_id, PRICE)
            await b.shipper.adopt()
            assert town.usage() == {
                "req_done": ("ok", PRICE),
                "req_unknown": ("unknown", 0),
                "req_midway": ("interrupted", 3 * PRICE),
            }
            assert town.wallet(wallet_id) == (16 * PRICE, 0)
            await b.purse.hold(wallet_id, PRICE * 16)
            b.purse.settle(wallet_id, held=PRICE * 16, charge=Money(0))

    run(scenario())


def test_a_restart_of_the_control_plane_loses_nothing_and_invents_nothing(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        async with gateways(town, "a", "b") as (a, b):
            await a.purse.hold(wallet_id, PRICE * 3)
            a.purse.settle(wallet_id, held=PRICE * 3, charge=Money(0))
            town.server.stop()
            await until(lambda: not a.link.connected and not b.link.connected)
            await a.buy("req_offline", wallet_id, PRICE)  # the lease goes on
            with pytest.raises(MoneyUnavailable):
                await b.purse.hold(wallet_id, PRICE)
            assert a.purse.recalled(wallet_id) == 2 * PRICE  # told again when the link is back
            town.open()
            await until(lambda: a.link.connected and b.link.connected)
            await until(lambda: "req_offline" in town.usage())
            await until(lambda: town.wallet(wallet_id) == (19 * PRICE, 0))
            await b.buy("req_after", wallet_id, PRICE * 19)
        assert town.wallet(wallet_id) == (0, 0)

    run(scenario())


def test_an_answer_lost_on_the_way_is_answered_again_and_lends_nothing_twice(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        async with gateways(town, "a") as (a,):
            town.books.lend(journal="a-1", wallet_id=wallet_id, need=5, burn=0, granted=0, returned=0)
            await a.purse.hold(wallet_id, Money(5))
            assert town.wallet(wallet_id)[1] == 5
            a.purse.settle(wallet_id, held=Money(5), charge=Money(0))

    run(scenario())


def test_idle_money_goes_home(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        async with gateways(town, "a") as (a,):
            await a.purse.hold(wallet_id, PRICE)
            a.purse.settle(wallet_id, held=PRICE, charge=Money(0))
            await a.purse.sweep()
            await a.purse.sweep()
            await until(lambda: town.wallet(wallet_id) == (20 * PRICE, 0))

    run(scenario())


def test_a_charge_over_its_hold_takes_the_wallet_below_zero_and_is_made_up(town: Town) -> None:
    async def scenario() -> None:
        wallet_id = town.add_user("ann", usd=TWENTY)
        async with gateways(town, "a") as (a,):
            tally = await a.begin("req_1", wallet_id, PRICE * 20)
            tally.settle(end_of("req_1", PRICE * 25))
            with pytest.raises(InsufficientQuota):
                await a.purse.hold(wallet_id, PRICE)
            await until(lambda: town.wallet(wallet_id) == (-5 * PRICE, 0))
            town.credit(wallet_id, "0.01")
            a.purse.credited(wallet_id)
            await a.buy("req_2", wallet_id, PRICE * 5)
            with pytest.raises(InsufficientQuota):
                await a.purse.hold(wallet_id, Money(1))
        assert town.wallet(wallet_id) == (0, 0)

    run(scenario())
