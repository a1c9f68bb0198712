"""A short campaign of ``kill -9``: each kind of process once, at moments drawn from a seed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.acceptance.calling import Heard, call, chat
from tests.acceptance.kills import TOKENS, VICTIMS, campaign
from tests.acceptance.station import Station, price_words, serving, until
from tests.acceptance.upstream import pretending

KILLS = int(os.environ.get("TEST_KILLS", len(VICTIMS)))


@pytest.mark.timeout(600)
def test_what_callers_saw_is_booked_and_what_is_booked_was_started_however_processes_die(tmp_path: Path) -> None:
    with (
        pretending("--tokens", str(TOKENS), "--chunk-ms", "10") as upstream,
        serving(Station(tmp_path / "home", progress_s=0.1)) as station,
    ):
        outcome = asyncio.run(campaign(station, upstream, kills=KILLS, seed=1))
        assert outcome.faults() == []
        assert len(outcome.saw) > KILLS
        assert {str(row["status"]) for row in outcome.rows} & {"interrupted", "unknown"}


def test_a_stream_killed_with_the_whole_station_is_booked_to_its_last_progress(tmp_path: Path) -> None:
    with (
        pretending("--tokens", "2000", "--chunk-ms", "10") as upstream,
        serving(Station(tmp_path / "home", progress_s=0.1)) as station,
    ):
        station.add_channel("only", base_url=upstream.base_url, models="pretend")
        station.rows(*price_words("pretend"))
        key = station.add_user("cut", usd="1")

        def enough(heard: Heard) -> bool:
            if len(heard.events) >= 100 and station.running:
                station.kill("tree")
                station.bury()
            return False

        heard = asyncio.run(call(station.port, key, chat("pretend", stream=True), leave=enough))
        assert not heard.done
        station.start()
        (row,) = station.booked("cut", 1)
        assert (row["status"], row["estimated"]) == ("interrupted", True)
        assert 1 <= row["output_tokens"] <= 400  # the estimate of some hundred words
        assert station.balance("cut") == 1_000_000_000 - row["charge_nano_usd"]
        station.verify()


def test_nothing_outlives_the_supervisor(tmp_path: Path) -> None:
    with serving(Station(tmp_path / "home")) as station:
        assert len(station.pids("gateway")) == 2
        assert len(station.pids("control")) == 1
        station.kill("supervisor")
        station.bury()


@pytest.mark.parametrize("plane", ["gateway", "control"])
def test_a_dead_process_is_replaced_while_the_others_go_on(tmp_path: Path, plane: str) -> None:
    with pretending() as upstream, serving(Station(tmp_path / "home")) as station:
        station.add_channel("only", base_url=upstream.base_url, models="pretend")
        station.rows("price", "set", "pretend", "--per-request", "0.001")
        key = station.add_user("any", usd="1")
        assert asyncio.run(call(station.port, key, chat("pretend"))).status == 200
        before = {name: set(station.pids(name)) for name in ("gateway", "control")}
        station.kill(plane)
        until(lambda: len(set(station.pids(plane)) - before[plane]) == 1, seconds=10, what=f"another {plane}")
        other = "control" if plane == "gateway" else "gateway"
        assert set(station.pids(other)) == before[other]
        until(lambda: asyncio.run(call(station.port, key, chat("pretend"))).status == 200, what="an answer")
        station.verify()
