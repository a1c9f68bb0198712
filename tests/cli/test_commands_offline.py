"""The commands without a station: they work on the data folder themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from click.testing import CliRunner, Result

import yizhan
from yizhan.accounts.secret import operator_token
from yizhan.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("YIZHAN_HOME", str(tmp_path))

    def run(*words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(main, list(words))
        assert done.exit_code == status, (done.output, done.exception)
        return done

    return run


def _rows(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_user_with_a_key_and_money(run: Run) -> None:
    run("user", "add", "alice", "--json")
    (key,) = _rows(run("key", "add", "alice", "--title", "T", "--json"))
    assert key["key"].startswith("sk-")
    assert isinstance(key["id"], int)
    run("topup", "alice", "--usd", "5", "--json")
    (shown,) = _rows(run("user", "show", "alice", "--json"))
    assert (shown["name"], shown["balance_nano_usd"], shown["available_nano_usd"]) == ("alice", 5 * 10**9, 5 * 10**9)
    run("key", "disable", str(key["id"]))
    (listed,) = _rows(run("key", "list", "alice", "--json"))
    assert (listed["status"], "key" in listed) == ("disabled", False)
    assert _rows(run("ledger", "verify", "--json"))[0]["ok"] is True
    assert run("usage", "--user", "alice", "--since", "1h", "--json").stdout == ""


def test_a_channel_and_a_price(run: Run) -> None:
    words = ("--vendor", "openai-compatible", "--base-url", "http://127.0.0.1:9/v1", "--key", "K", "--models", "a,b=c")
    (added,) = _rows(run("channel", "add", "one", *words, "--priority", "2", "--weight", "3", "--json"))
    assert (added["models"], added["priority"], added["weight"]) == ({"a": "a", "b": "c"}, 2, 3)
    run("channel", "disable", "one")
    assert _rows(run("channel", "list", "--json"))[0]["enabled"] is False
    run("price", "set", "a", "--input", "0.15", "--output", "0.60", "--cached-input", "0.075")
    (price,) = _rows(run("price", "show", "a", "--json"))
    assert price["usd_per_mtok"] == {"input": "0.15", "output": "0.6", "cached_input": "0.075"}
    run("price", "set", "a", "--per-request", "0.001")
    assert _rows(run("price", "show", "a", "--json"))[0]["usd_per_request"] == "0.001"
    run("channel", "remove", "one")
    assert _rows(run("channel", "list", "--json")) == []


def test_what_is_refused_is_one_line_and_status_1(run: Run) -> None:
    for words in (("user", "show", "nobody"), ("topup", "nobody", "--usd", "5"), ("price", "set", "m", "--input", "x")):
        done = run(*words, status=1)
        assert done.stdout == ""
        assert done.stderr.startswith("yizhan: ")
        assert done.stderr.count("\n") == 1


def test_what_is_wrongly_called_is_status_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("topup", "alice", status=2)
    run("user", "set", "alice", status=2)
    monkeypatch.setenv("YIZHAN_WORKERS", "many")
    done = run("user", "list", status=2)
    assert done.stderr.startswith("yizhan: bad setting")


def test_a_database_of_a_newer_version_is_refused(run: Run, tmp_path: Path) -> None:
    import sqlite3

    run("migrate")
    with sqlite3.connect(tmp_path / "yizhan.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "newer version" in run("user", "list", status=1).stderr
    assert "newer version" in run("migrate", status=1).stderr


def test_secrets_of_settings_are_not_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIZHAN_LINK_SECRET", "very secret")
    done = run("settings", "--json")
    assert "very secret" not in done.stdout
    assert {row["name"] for row in _rows(done)} >= {"YIZHAN_HOME", "YIZHAN_LINK_SECRET"}
    assert [row["name"] for row in _rows(done) if not row["meaning"]] == []


def test_the_operators_token_is_made_once(tmp_path: Path) -> None:
    assert operator_token(tmp_path) == operator_token(tmp_path)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_help_loads_neither_the_database_nor_the_web() -> None:
    code = (
        "import sys; from yizhan.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('sqlalchemy', 'litestar', 'httpx', 'uvicorn', 'asyncio') if name in sys.modules])"
    )
    begun = perf_counter()
    here = {**os.environ, "PYTHONPATH": str(Path(yizhan.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=here)
    assert done.stdout.splitlines()[-1] == "[]"
    assert perf_counter() - begun < 20  # 0.1 s of work; the bound is for a machine that does much else
