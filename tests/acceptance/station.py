"""A whole station in processes of its own, driven as an operator does: by the command line and by signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Row = dict[str, Any]
Found = TypeVar("Found")
NANO_PER_USD = 1_000_000_000
READY_S = 40.0
STOP_S = 40.0
_ONE_AFTER_ANOTHER = """
import json, sys
from yizhan.cli import main
for words in json.loads(sys.argv[1]):
    main(words, standalone_mode=False)
"""
COMMAND_S = 40.0


class StationFailed(Exception):
    """The station, or a command to it, did not do what it should; holds what it printed."""


def until(found: Callable[[], Found | None], *, seconds: float = 10.0, what: str = "it") -> Found:
    """Ask again and again until the answer is neither None nor False; raises StationFailed at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = found()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise StationFailed(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


class Station:
    """One data folder and the station that runs on it, or does not."""

    def __init__(self, home: Path, *, workers: int = 2, demo: bool = False, **settings: object) -> None:
        self.home = home
        self.workers = workers
        self.demo = demo
        self.port = 0
        self.key = ""  # of the first start
        self.log = home.parent / f"{home.name}.log"
        self._process: subprocess.Popen[str] | None = None
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("YIZHAN_")}
        self._environment |= {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "YIZHAN_HOME": str(home),
            "YIZHAN_METRICS_BIND": "",
            **{f"YIZHAN_{name.upper()}": str(value) for name, value in settings.items()},
        }

    # -- life --------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve, and return when the station says it is ready. The port stays the same over restarts."""
        assert self._process is None
        words = ["serve", "--json", "--bind", f"127.0.0.1:{self.port}", "--workers", str(self.workers)]
        if not self.demo:
            words.append("--no-demo")
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "yizhan.cli", *words],
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a kill of the whole tree must not be ours
            )
        ready = self._await_ready(self._process)
        self.port = int(ready["url"].rsplit(":", 1)[1])
        self.key = ready.get("key", self.key)

    def stop(self) -> int:
        """Ask it to stop, wait until it has; return its exit status."""
        self.ask_to_stop()
        return self.stopped()

    def stopped(self) -> int:
        """Wait until it has stopped; return its exit status."""
        process, self._process = self._process, None
        assert process is not None
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise StationFailed(f"it did not stop within {STOP_S} s; {self._said()}") from None

    def ask_to_stop(self) -> None:
        """Send SIGTERM and do not wait."""
        os.kill(self.supervisor, signal.SIGTERM)

    def kill(self, victim: str) -> None:
        """Send SIGKILL to ``gateway`` (one worker), ``control``, ``supervisor`` or ``tree``."""
        match victim:
            case "tree":
                os.killpg(self.supervisor, signal.SIGKILL)
            case "supervisor":
                os.kill(self.supervisor, signal.SIGKILL)
            case _:
                os.kill(self.pids(victim)[0], signal.SIGKILL)

    def bury(self) -> None:
        """After the supervisor's end: wait until nothing of it is left."""
        process, self._process = self._process, None
        assert process is not None
        process.wait(STOP_S)
        until(lambda: not _group(process.pid), seconds=10, what="the last process to end with its supervisor")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def supervisor(self) -> int:
        assert self._process is not None
        return self._process.pid

    def pids(self, plane: str) -> list[int]:
        """List the processes of a plane: ``gateway`` or ``control``."""
        return [pid for pid in _children(self.supervisor) if plane in _words(pid)]

    def rss_kb(self) -> int:
        """Add up the resident memory of the gateway workers."""
        return sum(_rss_kb(pid) for pid in self.pids("gateway"))

    # -- the command line --------------------------------------------------------------------------------------------

    def run(self, *words: str, seconds: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """Run a command and return how it ended."""
        return self._python("-m", "yizhan.cli", *words, seconds=seconds)

    def rows(self, *words: str) -> list[Row]:
        """Run a command with --json and read its lines; raises StationFailed when it fails."""
        return _rows(self.run(*words, "--json"))

    def rows_of(self, commands: list[list[str]]) -> list[Row]:
        """Run several commands in one process: starting Python costs more than most of them do."""
        texts = json.dumps([[*words, "--json"] for words in commands])
        return _rows(self._python("-c", _ONE_AFTER_ANOTHER, texts, seconds=COMMAND_S))

    def _python(self, *words: str, seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def one(self, *words: str) -> Row:
        """Run a command that answers with one object."""
        (row,) = self.rows(*words)
        return row

    def add_user(self, name: str, *, usd: str) -> str:
        """Add a user with money and a key; return the key."""
        made = self.rows_of(
            [["user", "add", name], ["topup", name, "--usd", usd], ["key", "add", name, "--title", "test"]]
        )
        return str(made[-1]["key"])

    def add_channel(self, name: str, *, base_url: str, models: str, priority: int = 0) -> None:
        """Add a channel to an upstream that speaks as OpenAI does."""
        self.rows(*channel_words(name, base_url=base_url, models=models, priority=priority))

    def balance(self, name: str) -> int:
        """Read the posted balance, in nano-USD."""
        return int(self.one("user", "show", name)["balance_nano_usd"])

    def usage(self, name: str) -> list[Row]:
        """Read what was booked for a user."""
        return self.rows("usage", "--user", name, "--all")

    def booked(self, name: str, count: int, *, seconds: float = 15.0) -> list[Row]:
        """Wait until so many requests of the user are booked, and read them."""

        def found() -> list[Row] | None:
            rows = self.usage(name)
            return rows if len(rows) >= count else None

        rows = until(found, seconds=seconds, what=f"{count} usage rows of {name}")
        assert len(rows) == count, f"{len(rows)} rows for {count} requests"
        return rows

    def verify(self) -> Row:
        """Verify the ledger; fails unless it is clean."""
        done = self.run("ledger", "verify", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report: Row = json.loads(done.stdout)
        assert report["ok"] is True
        return report

    # -- how -----------------------------------------------------------------------------------------------------------

    def _await_ready(self, process: subprocess.Popen[str]) -> Row:
        assert process.stdout is not None
        lines: SimpleQueue[str | None] = SimpleQueue()
        Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        said: Row = {}
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                line = lines.get(timeout=1)
            except Empty:
                continue
            if line is None:
                break
            if line.startswith("{"):
                said |= json.loads(line)
                if said.get("waiting"):
                    break
                if "url" in said:
                    return said
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._process = None
        raise StationFailed(f"it did not become ready; {self._said()}")

    def _said(self) -> str:
        return f"its log ends: {self.log.read_text()[-3000:]}"


@contextmanager
def serving(station: Station) -> Iterator[Station]:
    """Have a station running for a while."""
    station.start()
    try:
        yield station
    finally:
        if station.running:
            station.stop()


def channel_words(name: str, *, base_url: str, models: str, priority: int = 0) -> list[str]:
    """Word the command that adds a channel."""
    return [
        *("channel", "add", name, "--vendor", "openai-compatible", "--base-url", base_url),
        *("--key", "sk-upstream", "--models", models, "--priority", str(priority)),
    ]


def price_words(model: str, *, input_usd: str = "0.15", output_usd: str = "0.60") -> list[str]:
    """Word the command that prices a model by the token."""
    return ["price", "set", model, "--input", input_usd, "--output", output_usd]


def _rows(done: subprocess.CompletedProcess[str]) -> list[Row]:
    if done.returncode != 0:
        raise StationFailed(f"{done.args[1:]}: status {done.returncode}: {done.stdout}{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def _read(stream: Any, lines: SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _children(pid: int) -> list[int]:
    """List the direct children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def _group(leader: int) -> list[int]:
    """List the living processes of a process group."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, _, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == leader and state != "Z":
            found.append(int(folder.name))
    return found
