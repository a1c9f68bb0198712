"""What an operator relies on: changes take hold at once, mistakes are one readable line, stopping loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.calling import Heard, call, chat
from tests.acceptance.prices import PER_REQUEST
from tests.acceptance.station import Row, Station, serving
from tests.acceptance.upstream import Upstream, pretending

IN_FORCE_S = 1.0
PROBES = 30  # each on a connection of its own, so that every worker gets some


def probe(station: Station, key: str, model: str = "pretend-large") -> list[Heard]:
    """Ask many times at once, so that every worker answers some."""

    async def ask() -> list[Heard]:
        return await asyncio.gather(*(call(station.port, key, chat(model)) for _ in range(PROBES)))

    return asyncio.run(ask())


def assert_in_force(station: Station, key: str, *, status: int, code: str = "", model: str = "pretend-large") -> None:
    """A change made just now is seen by every worker within a second, and by none of them unseen later."""
    deadline = time.monotonic() + IN_FORCE_S
    while time.monotonic() < deadline and {heard.status for heard in probe(station, key, model)} != {status}:
        pass
    last = probe(station, key, model)
    assert {heard.status for heard in last} == {status}
    assert not code or {heard.code for heard in last} == {code}


@pytest.fixture(scope="module")
def made(station: Station) -> Row:
    station.rows("user", "add", "operated")
    station.rows("topup", "operated", "--usd", "10")
    return station.one("key", "add", "operated", "--title", "test")


def test_a_disabled_key_is_refused_by_every_worker_within_a_second(station: Station, made: Row) -> None:
    assert {heard.status for heard in probe(station, made["key"])} == {200}
    station.rows("key", "disable", str(made["id"]))
    assert_in_force(station, made["key"], status=401, code="api_key_disabled")


def test_a_disabled_channel_and_a_new_price_are_known_to_every_worker_within_a_second(
    station: Station, upstream: Upstream
) -> None:
    key = station.add_user("changes", usd="10")
    station.add_channel("changing", base_url=upstream.base_url, models="changing")
    station.rows("price", "set", "changing", "--per-request", "0.001")
    assert_in_force(station, key, status=200, model="changing")
    booked = len(station.usage("changes"))
    station.rows("price", "set", "changing", "--per-request", "0.002")
    assert_in_force(station, key, status=200, model="changing")
    rows = sorted(station.booked("changes", booked + 2 * PROBES), key=lambda row: str(row["request_id"]))
    assert {int(row["charge_nano_usd"]) for row in rows[-PROBES:]} == {2 * PER_REQUEST}
    station.rows("channel", "disable", "changing")
    assert_in_force(station, key, status=404, model="changing")


def test_a_second_station_on_the_same_folder_is_refused(station: Station) -> None:
    done = station.run("serve", "--bind", "127.0.0.1:0", "--no-demo")
    assert_one_line(done.returncode, done.stderr)


def assert_one_line(status: int, said: str) -> None:
    assert status not in (0, None)
    assert len(said.strip().splitlines()) == 1, said
    assert "Traceback" not in said


def refused(home: Path, *words: str, **settings: object) -> None:
    """Serve where that cannot work; it must say why in one line."""
    done = Station(home, **settings).run("serve", "--no-demo", *(words or ("--bind", "127.0.0.1:0")))  # type: ignore[arg-type]
    assert_one_line(done.returncode, done.stderr)


def test_a_taken_port_is_one_readable_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused(tmp_path / "home", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize(("name", "value"), [("workers_", "2"), ("drain_s", "soon"), ("role", "all-of-them")])
def test_a_bad_setting_is_one_readable_line(tmp_path: Path, name: str, value: str) -> None:
    refused(tmp_path / "home", **{name: value})


def test_a_data_folder_that_is_none_is_one_readable_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file")
    refused(home)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Station, Upstream, str]]:
    """A station that a test may stop, its upstream, and a key."""
    with pretending() as upstream, serving(Station(tmp_path / "home")) as station:
        station.add_channel("only", base_url=upstream.base_url, models="pretend")
        station.rows("price", "set", "pretend", "--per-request", "0.001")
        yield station, upstream, station.add_user("any", usd="1")


def test_a_running_stream_is_finished_before_the_station_stops(own: tuple[Station, Upstream, str]) -> None:
    station, _, key = own

    def stopping(heard: Heard) -> bool:
        if len(heard.events) == 3:
            station.ask_to_stop()
        return False

    body = chat("pretend", "pretend: tokens=60 chunk_ms=20", stream=True)
    heard = asyncio.run(call(station.port, key, body, leave=stopping))
    assert (heard.done, len(heard.text().split())) == (True, 60)
    assert station.stopped() == 0
    (row,) = station.usage("any")  # the command line works without the station, too
    assert (row["status"], row["charge_nano_usd"]) == ("ok", PER_REQUEST)
    assert station.one("user", "show", "any")["balance_nano_usd"] == 1_000_000_000 - PER_REQUEST
    report = station.verify()
    assert not report.get("unknown")
    assert not report.get("unresolved")


def test_a_second_start_keeps_the_data_and_shows_no_secret(own: tuple[Station, Upstream, str]) -> None:
    station, _, key = own
    assert station.stop() == 0
    station.key = ""
    station.start()
    assert station.key == ""
    assert asyncio.run(call(station.port, key, chat("pretend"))).status == 200


def test_a_schema_newer_than_the_code_is_one_readable_line(own: tuple[Station, Upstream, str]) -> None:
    station, _, _ = own
    assert station.stop() == 0
    with sqlite3.connect(station.home / "yizhan.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    database.close()
    done = station.run("serve", "--no-demo", "--bind", "127.0.0.1:0")
    assert_one_line(done.returncode, done.stderr)


def test_while_the_control_plane_is_stopped_known_keys_go_on_and_unknown_ones_are_503(
    own: tuple[Station, Upstream, str],
) -> None:
    station, _, key = own
    # enough calls for both workers to know the key and to hold money for it
    assert {heard.status for heard in probe(station, key, "pretend")} == {200}
    (control,) = station.pids("control")
    os.kill(control, signal.SIGSTOP)
    try:
        assert {heard.status for heard in probe(station, key, "pretend")} <= {200, 503}
        (unknown,) = [asyncio.run(call(station.port, "sk-never-seen-before", chat("pretend")))]
        assert (unknown.status, unknown.code) == (503, "accounts_unavailable")
    finally:
        os.kill(control, signal.SIGCONT)
    assert asyncio.run(call(station.port, key, chat("pretend"))).status == 200
