from __future__ import annotations

import asyncio
import hashlib
from functools import partial

import pytest
from tests.purse.twins import Opening, run, until

from yizhan.clock import SetClock
from yizhan.errors import MoneyUnavailable, UnknownKey
from yizhan.purse.keyring import LOOKUPS_MAX, KeyRing, Recent
from yizhan.purse.ports import KeyRecord

PEPPER = b"p" * 32


def hashed(secret: bytes) -> bytes:
    return hashlib.blake2b(secret, digest_size=32, key=PEPPER).digest()


class Office:
    """Knows the keys it was given; ``gate`` holds its answers back."""

    def __init__(self) -> None:
        self.pepper: bytes | None = PEPPER
        self.keys: dict[bytes, KeyRecord] = {}
        self.asked: list[bytes] = []
        self.away = False
        self.gate: asyncio.Event | None = None

    def add(self, secret: bytes, *, status: str = "enabled") -> KeyRecord:
        self.keys[hashed(secret)] = KeyRecord(hashed(secret), 1, 2, 3, status=status)
        return self.keys[hashed(secret)]

    async def open_key(self, key_hash: bytes, need: int) -> Opening:
        self.asked.append(key_hash)
        answer = Opening(self.keys.get(key_hash))
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise MoneyUnavailable("away")
        return answer


def a_ring(office: Office, clock: SetClock, *, keys_max: int = 100) -> KeyRing:
    return KeyRing(office, clock=clock, keys_max=keys_max, unknown_s=10)


def test_a_key_is_asked_for_once(clock: SetClock) -> None:
    async def scenario() -> None:
        office = Office()
        record = office.add(b"sk-1")
        ring = a_ring(office, clock)
        assert ring.known(b"sk-1") is None
        assert [await ring.find(b"sk-1") for _ in range(3)] == [record] * 3
        assert ring.known(b"sk-1") == record
        assert office.asked == [hashed(b"sk-1")]

    run(scenario())


def test_concurrent_questions_for_one_key_are_one_and_survive_a_caller_who_leaves(clock: SetClock) -> None:
    async def scenario() -> None:
        office = Office()
        record = office.add(b"sk-1")
        office.gate = asyncio.Event()
        ring = a_ring(office, clock)
        tasks = [asyncio.ensure_future(ring.find(b"sk-1")) for _ in range(5)]
        await until(lambda: bool(office.asked))
        tasks[0].cancel()
        office.gate.set()
        assert await asyncio.gather(*tasks[1:]) == [record] * 4
        assert len(office.asked) == 1

    run(scenario())


def test_an_unknown_key_is_refused_without_asking_for_a_while(clock: SetClock) -> None:
    async def scenario() -> None:
        office = Office()
        ring = a_ring(office, clock)
        for _ in range(5):
            with pytest.raises(UnknownKey):
                await ring.find(b"sk-no")
        assert len(office.asked) == 1
        clock.advance(10.1)
        record = office.add(b"sk-no")
        assert await ring.find(b"sk-no") == record

    run(scenario())


def test_a_change_ends_both_kinds_of_memory(clock: SetClock) -> None:
    async def scenario() -> None:
        office = Office()
        ring = a_ring(office, clock)
        for forget in (partial(ring.forget, hashed(b"sk-1")), ring.forget_all):
            office.keys.clear()
            forget()
            with pytest.raises(UnknownKey):
                await ring.find(b"sk-1")
            office.add(b"sk-1")
            forget()
            assert (await ring.find(b"sk-1")).status == "enabled"
            office.add(b"sk-1", status="disabled")
            forget()
            assert (await ring.find(b"sk-1")).status == "disabled"

    run(scenario())


def test_an_answer_overtaken_by_a_change_is_asked_again(clock: SetClock) -> None:
    async def scenario() -> None:
        office = Office()
        office.add(b"sk-1")
        office.gate = asyncio.Event()
        ring = a_ring(office, clock)
        asking = asyncio.ensure_future(ring.find(b"sk-1"))
        await until(lambda: bool(office.asked))
        office.add(b"sk-1", status="disabled")
        ring.forget(hashed(b"sk-1"))
        office.gate.set()
        assert (await asking).status == "disabled"
        assert (await ring.find(b"sk-1")).status == "disabled"

    run(scenario())


def test_a_key_that_keeps_changing_gives_up_after_some_tries(clock: SetClock) -> None:
    class Restless(Office):
        async def open_key(self, key_hash: bytes, need: int) -> Opening:
            ring.forget_all()
            return await super().open_key(key_hash, need)

    office = Restless()
    office.add(b"sk-1")
    ring = a_ring(office, clock)

    async def scenario() -> None:
        with pytest.raises(MoneyUnavailable):
            await ring.find(b"sk-1")
        assert len(office.asked) == 3

    run(scenario())


def test_trouble_is_never_remembered_and_known_keys_go_on(clock: SetClock) -> None:
    async def scenario() -> None:
        office = Office()
        known, later = office.add(b"sk-1"), office.add(b"sk-2")
        ring = a_ring(office, clock)
        await ring.find(b"sk-1")
        office.away = True
        for _ in range(2):
            with pytest.raises(MoneyUnavailable):
                await ring.find(b"sk-2")
            assert await ring.find(b"sk-1") == known
        office.away = False
        assert await ring.find(b"sk-2") == later

    run(scenario())


def test_before_the_first_welcome_nobody_can_say(clock: SetClock) -> None:
    async def scenario() -> None:
        office = Office()
        office.pepper = None
        with pytest.raises(MoneyUnavailable):
            await a_ring(office, clock).find(b"sk-1")

    run(scenario())


def test_a_flood_of_invented_keys_is_bounded_in_questions_and_memory(clock: SetClock) -> None:
    async def scenario() -> None:
        office = Office()
        ring = a_ring(office, clock, keys_max=100)
        with pytest.raises(UnknownKey):
            await ring.find(b"x" * 513)
        assert office.asked == []
        office.gate = asyncio.Event()
        flood = [asyncio.ensure_future(ring.find(b"sk-%d" % n)) for n in range(LOOKUPS_MAX + 50)]
        await until(lambda: len(office.asked) == LOOKUPS_MAX)
        office.gate.set()
        answers = await asyncio.gather(*flood, return_exceptions=True)
        assert sum(isinstance(answer, UnknownKey) for answer in answers) == LOOKUPS_MAX
        assert sum(isinstance(answer, MoneyUnavailable) for answer in answers) == 50
        assert len(ring._unknown) <= 100

    run(scenario())


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    recent: Recent[int] = Recent(10)
    recent.put(b"used", 1)
    for number in range(1000):
        recent.put(b"%d" % number, number)
        assert recent.get(b"used") == 1
        assert len(recent) <= 10
    assert recent.get(b"0") is None
    recent.drop(b"used")
    assert recent.get(b"used") is None
    recent.clear()
    assert len(recent) == 0
