"""A campaign of ``kill -9`` under load. Run a long one with ``python -m tests.acceptance.kills --kills 50 --seed 7``.

What must hold, whatever is killed and when: {callers saw the terminal bytes} ⊆ {booked} ⊆ {upstream started}, each at
most once; the ledger verifies after each kill; what was running is listed as interrupted or unknown.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
from tests.acceptance.calling import call, chat
from tests.acceptance.prices import fair, total
from tests.acceptance.station import NANO_PER_USD, Row, Station, StationFailed, price_words, serving, until
from tests.acceptance.upstream import Upstream, pretending

VICTIMS = ("gateway", "control", "supervisor", "tree")
CALLERS = 12
MONEY_USD = 1000
TOKENS = 40
SETTLED_S = 30.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign found."""

    kills: int
    asked: int
    saw: set[str]  # callers who saw the terminal bytes
    started: dict[str, Row]  # the upstream's own count
    rows: list[Row]
    balance: int

    def faults(self) -> list[str]:
        """Name everything that must not be; empty is what a campaign is for."""
        booked = Counter(str(row["client_request_id"]) for row in self.rows)
        paid = {str(row["client_request_id"]): row for row in self.rows if row["charge_nano_usd"]}
        checks = {
            "saw the terminal bytes and were not booked": self.saw - set(paid),
            "booked and not started upstream": set(paid) - set(self.started),
            "booked twice": {marker for marker, times in booked.items() if times > 1},
            "started twice upstream": {marker for marker, seen in self.started.items() if seen["started"] > 1},
            "started upstream and not listed": set(self.started) - set(booked),
            "charged other than their tokens cost": {marker for marker, row in paid.items() if not fair(row)},
            "seen whole and not billed in full": {
                marker for marker in self.saw & set(paid) if paid[marker]["output_tokens"] != TOKENS
            },
            "billed for more than the upstream counted": {
                marker
                for marker in set(paid) & set(self.started)
                if not paid[marker]["estimated"]
                and paid[marker]["output_tokens"] > self.started[marker]["completion_tokens"]
            },
        }
        found = [f"{len(who)} {what}: {sorted(who)[:5]}" for what, who in checks.items() if who]
        if self.balance != MONEY_USD * NANO_PER_USD - total(self.rows):
            found.append(f"the balance is {self.balance}, and {total(self.rows)} was charged")
        return found

    def summary(self) -> str:
        """Say in a few lines what happened."""
        ends = Counter(str(row["status"]) for row in self.rows)
        return (
            f"{self.kills} kills, {self.asked} requests: {len(self.saw)} callers saw the end, {len(self.rows)} booked, "
            f"{len(self.started)} started upstream; " + ", ".join(f"{many} {end}" for end, many in ends.most_common())
        )


class Load:
    """Callers who never give up: each asks, listens to the end or to the break, and asks again."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._on = True
        self._asked = 0
        self.saw: set[str] = set()

    @property
    def asked(self) -> int:
        return self._asked

    async def run(self) -> None:
        """Go on until told to stop; returns when the last answer has come."""
        await asyncio.gather(*(self._caller(stream=number % 3 != 0) for number in range(CALLERS)))

    def stop(self) -> None:
        self._on = False

    async def _caller(self, *, stream: bool) -> None:
        while self._on:
            self._asked += 1
            marker = f"k-{self._asked}"
            thinking_ms = 0 if stream else 200  # so that a plain answer, too, is there to be killed
            body = chat("pretend", f"pretend: id={marker} first_byte_ms={thinking_ms}", stream=stream)
            heard = await call(self._port, self._key, body, marker=marker, seconds=30)
            if heard.done if stream else (heard.status == 200 and heard.whole):
                self.saw.add(marker)
            if heard.status != 200:
                await asyncio.sleep(0.05)  # the station is down: knock, do not hammer


async def campaign(station: Station, upstream: Upstream, *, kills: int, seed: int) -> Outcome:
    """Kill at moments and victims drawn from the seed, under load; then settle and compare the three counts."""
    key = await asyncio.to_thread(_prepare, station, upstream)
    draw = random.Random(seed)
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(kills)]
    draw.shuffle(victims)
    load = Load(station.port, key)
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        try:
            for victim in victims:
                await asyncio.sleep(draw.uniform(0.2, 1.5))  # the random moment itself
                await asyncio.to_thread(_kill, station, victim)
                await asyncio.to_thread(station.verify)
        finally:
            load.stop()
    rows = await asyncio.to_thread(_settled, station, upstream)
    await asyncio.to_thread(station.verify)
    return Outcome(
        kills=kills,
        asked=load.asked,
        saw=load.saw,
        started=upstream.count()["requests"],
        rows=rows,
        balance=station.balance("killed"),
    )


def _prepare(station: Station, upstream: Upstream) -> str:
    upstream.reset()
    station.add_channel("only", base_url=upstream.base_url, models="pretend")
    station.rows(*price_words("pretend"))
    return station.add_user("killed", usd=str(MONEY_USD))


def _kill(station: Station, victim: str) -> None:
    """Kill, and wait until the station is whole again."""
    before = {plane: set(station.pids(plane)) for plane in ("gateway", "control")}
    station.kill(victim)
    if victim in ("supervisor", "tree"):
        station.bury()
        station.start()
        return

    def whole() -> bool:
        now = {plane: set(station.pids(plane)) for plane in before}
        return now != before and all(len(now[plane]) == len(before[plane]) for plane in before)

    until(whole, seconds=20, what=f"the supervisor to start another {victim}")


def _settled(station: Station, upstream: Upstream) -> list[Row]:
    """Wait until every request that the upstream knows of is listed, and read the list."""

    def found() -> list[Row] | None:
        rows = station.usage("killed")
        missing = set(upstream.count()["requests"]) - {str(row["client_request_id"]) for row in rows}
        return None if missing else rows

    try:
        return until(found, seconds=SETTLED_S, what="all to be listed")
    except StationFailed:
        return station.usage("killed")  # the campaign's faults will name them


def main() -> None:
    """Run a campaign of its own and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        pretending("--tokens", str(TOKENS), "--chunk-ms", "10") as upstream,
        serving(Station(Path(folder) / "home", progress_s=0.1)) as station,
    ):
        outcome = asyncio.run(campaign(station, upstream, kills=wanted.kills, seed=wanted.seed))
    print(f"seed {wanted.seed}: {outcome.summary()}")
    for fault in outcome.faults():
        print(f"FAULT {fault}")
    raise SystemExit(bool(outcome.faults()))


if __name__ == "__main__":
    main()
