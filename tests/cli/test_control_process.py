"""The control plane as a process of its own, and the commands that go through it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

import yizhan
from yizhan.app_prepare import opened, prepare
from yizhan.billing import verify
from yizhan.config import Settings
from yizhan.store.catalog import snapshot
from yizhan.store.tables import prices

CODE = """
import sys
from yizhan.app_control import run_control
from yizhan.config import load
from yizhan.process import Inherited
run_control(load(), Inherited.parse(sys.argv))
"""


class Control:
    """A running control plane, and the end of the pipe that keeps it alive."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], watch: int) -> None:
        self.home = home
        self.process = process
        self.watch = watch

    def let_go(self) -> None:
        """Close the pipe, as the end of a supervisor does."""
        if self.watch >= 0:
            os.close(self.watch)
            self.watch = -1

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "yizhan.cli", *words],
            env=_environment(self.home),
            capture_output=True,
            text=True,
            check=False,
        )


def _environment(home: Path) -> dict[str, str]:
    own = {"YIZHAN_HOME": str(home), "YIZHAN_METRICS_BIND": "", "PYTHONPATH": str(Path(yizhan.__file__).parents[1])}
    return {**os.environ, **own}


@contextmanager
def _running(home: Path) -> Iterator[Control]:
    assert prepare(Settings(home=str(home))).error == ""
    watch, ready = os.pipe(), os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "--watch", str(watch[0]), "--ready", str(ready[1])],
        env=_environment(home),
        pass_fds=(watch[0], ready[1]),
    )
    os.close(watch[0])
    os.close(ready[1])
    control = Control(home, process, watch[1])
    try:
        assert os.read(ready[0], 100) == b"control\n"
        yield control
    finally:
        process.kill()
        process.wait()
        os.close(ready[0])
        control.let_go()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with _running(tmp_path) as found:
        yield found


def test_commands_go_through_the_running_station(control: Control) -> None:
    path = control.home / "run" / "control.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    added = control.command("user", "add", "alice", "--json")
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["name"] == "alice"
    again = control.command("user", "add", "alice")
    assert (again.returncode, again.stderr) == (1, "yizhan: There is a user 'alice' already.\n")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://station") as client:
        assert client.get("/admin/v1/me").status_code == 401
        assert client.get("/openapi.json").json()["openapi"].startswith("3.1")


def test_sigterm_ends_it_well_and_takes_the_socket_away(control: Control) -> None:
    control.process.send_signal(signal.SIGTERM)
    assert control.process.wait(30) == 0
    assert not (control.home / "run" / "control.sock").exists()


def test_it_ends_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    with _running(tmp_path) as control:
        control.let_go()
        assert control.process.wait(30) == 0


def test_a_socket_left_by_a_dead_process_does_not_keep_commands_out(control: Control) -> None:
    control.process.kill()
    control.process.wait()
    assert (control.home / "run" / "control.sock").exists()
    done = control.command("user", "list", "--json")
    assert (done.returncode, json.loads(done.stdout)["name"]) == (0, "admin")


def _first_start(home: Path) -> tuple[Any, Settings]:
    settings = Settings(home=str(home))
    return prepare(settings, demo_url="http://127.0.0.1:1234"), settings


def test_the_first_start_makes_an_owner_a_key_credit_and_prices(tmp_path: Path) -> None:
    first, settings = _first_start(tmp_path)
    assert (first.error, first.login, len(first.password), len(first.key)) == ("", "admin", 20, 51)
    with opened(settings) as (database, seal), database.read() as connection:
        found = snapshot(connection, seal.unseal)
        assert verify.verify(connection).ok
        assert len(found.prices) > 300
        (demo,) = found.channels.values()
        assert (demo.base_url, demo.models) == ("http://127.0.0.1:1234/v1", {"smollm2-135m": "smollm2-135m"})
        assert found.prices["smollm2-135m"].output > 0
        assert found.models["smollm2-135m"].context_tokens == 2048


def test_later_starts_show_no_secret_and_change_only_the_demos_address(tmp_path: Path) -> None:
    _first_start(tmp_path)
    settings = Settings(home=str(tmp_path))
    again = prepare(settings, demo_url="http://127.0.0.1:4321")
    assert (again.error, again.login, again.password, again.key) == ("", "", "", "")
    with opened(settings) as (database, seal), database.read() as connection:
        assert snapshot(connection, seal.unseal).channels[1].base_url == "http://127.0.0.1:4321/v1"
        assert len(connection.execute(select(prices).where(prices.c.source == "demo")).all()) == 1
    assert prepare(settings).error == ""
    with opened(settings) as (database, seal), database.read() as connection:
        assert not snapshot(connection, seal.unseal).channels[1].enabled


def test_what_keeps_a_station_from_starting_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "yizhan.db").write_bytes(b"this is no database at all" * 100)
    said = prepare(Settings(home=str(tmp_path))).error
    assert said != ""
    assert "\n" not in said
