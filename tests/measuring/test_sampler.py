import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench import machine
from bench.calls import Calls, per_request
from bench.sampler import Sampler

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import time

def dear() -> int:
    return sum(range(20_000))

def cheap() -> int:
    return sum(range(200))

begun = time.process_time()
while time.process_time() - begun < 0.6:
    dear()
    cheap()
"""


def _burn(seconds: float) -> None:
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        sum(range(1000))


def test_the_line_that_costs_the_time_leads_the_report(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    out = tmp_path / "samples.txt"

    subprocess.run(
        [sys.executable, "-m", "bench.sampler", "--out", str(out), "program"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        cwd=tmp_path,
        check=True,
    )

    by_self = out.read_text().split("lines by self\n")[1].splitlines()
    assert by_self[0].endswith("program.py:5 dear")


def test_a_signal_starts_it_and_the_next_one_writes_the_report(tmp_path: Path) -> None:
    out = tmp_path / "samples.txt"
    before = signal.getsignal(signal.SIGUSR2), signal.getsignal(signal.SIGPROF)
    try:
        Sampler(out).listen()
        os.kill(os.getpid(), signal.SIGUSR2)
        _burn(0.2)
        os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before[0])
        signal.signal(signal.SIGPROF, before[1])

    assert "_burn" in out.read_text()


def test_the_cpu_clock_of_a_process_counts_all_its_threads_and_nothing_of_its_sleep() -> None:
    before, here = machine.cpu_ns(os.getpid()), time.process_time_ns()
    _burn(0.05)
    spent, expected = machine.cpu_ns(os.getpid()) - before, time.process_time_ns() - here

    assert abs(spent - expected) < 5_000_000
    assert spent >= 50_000_000


def test_calls_are_counted_from_one_signal_to_the_next(tmp_path: Path) -> None:
    out = tmp_path / "calls.txt"
    before = signal.getsignal(signal.SIGUSR1)
    try:
        Calls(out).listen()
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(7):
            len(_named(3))
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    told = per_request(out.read_text(), 7)

    assert "    1.00  tests/measuring/test_sampler.py _named\n" in told
    assert "    1.00  C len\n" in told


def _named(number: int) -> str:
    return str(number)
