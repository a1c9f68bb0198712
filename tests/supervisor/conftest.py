from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0
T = TypeVar("T")


def eventually(ask: Callable[[], T]) -> T:
    """Ask until the answer is true; give up at a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)
    return answer


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Station:
    """A supervisor in a process of its own, over stand-in children."""

    def __init__(self, home: Path, *options: str, **environment: str) -> None:
        self.home = home
        self._out = home.with_suffix(f".{time.monotonic_ns()}")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("YIZHAN_")}
        settings = {"YIZHAN_HOME": str(home), "YIZHAN_BIND": "127.0.0.1:0", "YIZHAN_DRAIN_S": "1"}
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("station.py")), *options],
                env={**inherited, "PYTHONPATH": str(ROOT / "src"), **settings, **environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def printed(self) -> str:
        return self._out.read_text()

    def log(self) -> list[tuple[str, int]]:
        """What the children noted: (what, process id)."""
        path = self.home / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(what, int(pid)) for what, _, pid in (line.rpartition(" ") for line in lines)]

    def pids(self, what: str) -> list[int]:
        return [pid for noted, pid in self.log() if noted == what]

    def opened(self) -> int:
        """Wait for the greeting; the port."""
        eventually(lambda: "the station is open at" in self.printed or self.process.poll() is not None)
        return int(self.printed.partition("the station is open at ")[2].splitlines()[0].rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Station]]:
    """Start stations on one data folder; they end with the test."""
    started: list[Station] = []

    def begin(*options: str, **environment: str) -> Station:
        started.append(Station(tmp_path / "home", *options, **environment))
        return started[-1]

    yield begin
    for station in started:
        station.process.kill()
        station.process.wait()
