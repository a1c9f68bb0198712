"""Whom we measure, and the vendor behind them: started, found, pinned and stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from bench import keys, machine

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"
SAMPLES = OUT / "samples.txt"
COUNTS = OUT / "calls.txt"
_HOOK = (ROOT / "bench" / "hook", ROOT)
KEY_LENGTH = 51
MODELS = ("bench-chat", "bench-pace-2", "bench-pace-20")


class Subject(Protocol):
    """A server under test."""

    name: str
    port: int
    key: str
    process: subprocess.Popen[bytes]

    def worker(self) -> int: ...
    def control(self) -> int | None: ...
    def booked(self) -> int | None: ...
    def stop(self) -> None: ...


class Upstream:
    """The mock vendor, on the core of the load."""

    def __init__(self, core: int) -> None:
        self.process = subprocess.Popen([str(OUT / "upstream")], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        machine.pin(self.process.pid, core)

    def stop(self) -> None:
        stop(self.process)


class Nginx:
    """nginx with one worker on the measured core."""

    def __init__(self, upstream: int, *, core: int, name: str = "nginx") -> None:
        self.name = name
        self.key = "k" * KEY_LENGTH
        self.port = machine.free_port()
        self._home = tempfile.TemporaryDirectory(prefix="yizhan-bench-nginx-")
        template = string.Template((ROOT / "bench" / "nginx.conf").read_text())
        config = Path(self._home.name) / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(template.substitute(user=user, home=self._home.name, upstream=upstream, port=self.port))
        self.process = subprocess.Popen([machine.tool("nginx"), "-p", self._home.name, "-c", str(config)])
        wait_for(lambda: machine.children(self.process.pid), "nginx has no worker", process=self.process)
        machine.pin(self.worker(), core)

    def worker(self) -> int:
        return machine.children(self.process.pid)[0]

    def control(self) -> int | None:
        return None

    def booked(self) -> int | None:
        return None

    def stop(self) -> None:
        stop(self.process)
        self._home.cleanup()


class Station:
    """Yizhan with one worker: auth, hold, settle and journal as they come. Set up by its own command line."""

    def __init__(self, upstream: int, *, cores: tuple[int, int], cold_keys: int, sampled: bool) -> None:
        self.name = "yizhan"
        self.port = machine.free_port()
        self._temp = tempfile.TemporaryDirectory(prefix="yizhan-bench-")
        self.home = Path(self._temp.name)
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("YIZHAN_")} | {
            "YIZHAN_HOME": str(self.home),
            "YIZHAN_BIND": f"127.0.0.1:{self.port}",
            "YIZHAN_METRICS_BIND": f"127.0.0.1:{machine.free_port()}",
            "PYTHONPATH": os.pathsep.join(
                str(path) for path in ([*_HOOK, ROOT / "src"] if sampled else [ROOT / "src"])
            ),
        }
        self.key = self._set_up(upstream)
        self.cold_keys = keys.plant(self.home, count=cold_keys, like=self.key)
        self._cores = cores
        self.start()

    def start(self) -> float:
        """Start it and pin its worker alone on the measured core; the seconds to its first relayed answer."""
        self._log = (OUT / "station.log").open("ab")
        everywhere = ["taskset", "-c", ",".join(str(core) for core in self._cores)]
        arguments = [*everywhere, *self._command(), "serve", "--workers", "1", "--no-demo"]
        self.process = subprocess.Popen(arguments, env=self._environment, stdout=self._log, stderr=self._log)
        silent = "the station does not answer; see bench/out/station.log"
        took_s = wait_for(lambda: _chat(self.port, self.key) == 200, silent, process=self.process)
        for pid in [self.process.pid, *_descendants(self.process.pid)]:
            machine.pin(pid, self._cores[1])
        machine.pin(self.worker(), self._cores[0])
        return took_s

    def worker(self) -> int:
        return self._child(" gateway")

    def control(self) -> int:
        return self._child(" control")

    def booked(self) -> int:
        """Requests the ledger knows of."""
        database = sqlite3.connect(f"file:{self.home / 'yizhan.db'}?mode=ro", uri=True, timeout=10)
        try:
            # As good as count(*) where nothing is ever deleted, and costs the same at any size.
            return int(database.execute("SELECT coalesce(max(rowid), 0) FROM usage").fetchone()[0])
        finally:
            database.close()

    def yizhan(self, *arguments: str) -> Any:
        """Run a command of the station with --json and read its one object."""
        run = subprocess.run(
            [*self._command(), *arguments, "--json"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise machine.Unfit(f"yizhan {' '.join(arguments)}: {(run.stderr or run.stdout).strip()}")
        return json.loads(run.stdout.strip().splitlines()[-1])

    def stop(self) -> None:
        self.halt()
        self._temp.cleanup()

    def halt(self) -> None:
        """Stop it, but keep its data."""
        stop(self.process)
        self._log.close()

    def _set_up(self, upstream: int) -> str:
        url = f"http://127.0.0.1:{upstream}/v1"
        channel = ["--vendor", "openai-compatible", "--base-url", url, "--key", "sk-upstream"]
        self.yizhan("channel", "add", "bench", *channel, "--models", ",".join(MODELS))
        for model in MODELS:
            self.yizhan("price", "set", model, "--input", "0.15", "--output", "0.60")
        self.yizhan("user", "add", "bench")
        self.yizhan("topup", "bench", "--usd", "1000000")
        return str(self.yizhan("key", "add", "bench", "--title", "bench")["key"])

    def _child(self, word: str) -> int:
        found = [pid for pid in _descendants(self.process.pid) if word in machine.command(pid)]
        if not found:
            raise machine.Unfit(f"the station has no{word} process")
        return found[0]

    @staticmethod
    def _command() -> list[str]:
        return [sys.executable, "-c", "from yizhan.cli import main; main()"]


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and make it end when it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(condition: Any, what: str, *, process: subprocess.Popen[bytes], within_s: float = 30) -> float:
    """Wait until a condition holds; how long that took. Raises Unfit after ``within_s`` or when the process ends."""
    begun = time.monotonic()
    while not condition():
        if process.poll() is not None or time.monotonic() - begun > within_s:
            raise machine.Unfit(what)
        time.sleep(0.005)
    return time.monotonic() - begun


def _descendants(pid: int) -> list[int]:
    found = machine.children(pid)
    return found + [grandchild for child in found for grandchild in _descendants(child)]


def _chat(port: int, key: str) -> int:
    """Ask the smallest question; the status, or 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    question = b'{"model":"bench-chat","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}'
    try:
        connection.request("POST", "/v1/chat/completions", question, {"Authorization": f"Bearer {key}"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
