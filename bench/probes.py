"""What is more than CPU a request: first bytes, stalls, memory, start, intake, new keys."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from bench import load, machine
from bench.calls import per_request
from bench.figures import CASES, Bench, one_round, wait_booked
from bench.report import Row, Series
from bench.servers import COUNTS, KEY_LENGTH, OUT, SAMPLES, Station, Subject, wait_for

_STALL_MS = 200
_BLOCK_MS = 5.0
_INTAKE_RATE = 5000


def first_byte(bench: Bench) -> list[Row]:
    """One connection, one stream after the other: how much later than through nginx the first byte comes."""
    what, total = load.body(1024, stream=True), 300 if bench.quick else 1500
    added: dict[str, list[float]] = {"p50": [], "p99": []}
    floors = []
    for _ in range(bench.rounds):
        seen = []
        for subject in (bench.floor, bench.subject):
            request = load.request_file("first-byte", what, key=subject.key)
            calls = load.call(subject.port, request, core=bench.cores[1], connections=1, total=total)
            assert calls.first_byte_us is not None
            seen.append(calls.first_byte_us)
        floors.append(seen[0].p99 / 1e3)
        for name, values in added.items():
            values.append((getattr(seen[1], name) - getattr(seen[0], name)) / 1e3)
    p50, p99 = Series.of(added["p50"]), Series.of(added["p99"])
    row = Row(
        probe="first-byte",
        work="added time to first byte, one connection, p99, ms",
        floor=Series.of(floors).text(2),
        value=f"{p99.median:+.2f} ({p99.low:+.2f} to {p99.high:+.2f})",
        ratio=f"p50 {p50.median:+.2f} ms",
        target="<= 1 ms",
        met=p99.median <= 1,
        detail={"added_ms": added, "nginx_p99_ms": floors},
    )
    return [row]


def paced(bench: Bench) -> list[Row]:
    """300 streams with a piece every 20 ms: the longest silence on any of them, and the share of a core."""
    found = {}
    for subject in (bench.floor, bench.subject):
        found[subject.name] = _paced(bench, subject)
    floor, mine = found[bench.floor.name], found[bench.subject.name]
    good = mine["stall_ms"] <= _STALL_MS and mine["failed"] == 0
    return [
        Row(
            probe="paced",
            work="300 streams paced at 20 ms: longest silence, ms",
            floor=f"{floor['stall_ms']:.0f}",
            value=f"{mine['stall_ms']:.0f}" + (f", {mine['failed']:.0f} FAILED" if mine["failed"] else ""),
            target=f"<= {_STALL_MS} ms",
            met=good,
            detail=found,
        ),
        Row(
            probe="paced",
            work="  share of one core",
            floor=f"{floor['share']:.1%}",
            value=f"{mine['share']:.1%}",
            ratio=f"{mine['share'] / floor['share']:.2f}",
            target="<= 45 %",
            met=mine["share"] <= 0.45,
        ),
    ]


def _paced(bench: Bench, subject: Subject) -> dict[str, float]:
    seconds = 4 if bench.quick else 12
    what = load.body(1024, stream=True, model="bench-pace-20")
    request = load.request_file("paced", what, key=subject.key)
    worker = subject.worker()
    with load.calling(subject.port, request, core=bench.cores[1], connections=300, seconds=seconds) as client:
        time.sleep(1)
        begun, before = time.monotonic_ns(), machine.cpu_ns(worker)
        time.sleep(seconds - 1.5)
        share = (machine.cpu_ns(worker) - before) / (time.monotonic_ns() - begun)
        calls = load.answers(client)
    assert calls.gap_us is not None
    return {
        "share": share,
        "stall_ms": calls.gap_us.max / 1e3,
        "gap_p50_ms": calls.gap_us.p50 / 1e3,
        "streams": calls.answered,
        "failed": calls.failed + calls.unfinished,
    }


def blocking(bench: Bench) -> list[Row]:
    """One 1.5 MB request after the other, and beside them the health probe: how long the loop lets it wait.

    Some body blocks the loop in every try, a busy machine only in some: so the best of three tries counts.
    """
    tries: dict[str, list[dict[str, float]]] = {bench.floor.name: [], bench.subject.name: []}
    for _ in range(3):
        for subject in (bench.floor, bench.subject):
            tries[subject.name].append(_blocking(bench, subject))
    floor, mine = (min(waits, key=lambda wait: wait["p999"]) for waits in tries.values())
    failed = sum(wait["failed"] for wait in tries[bench.subject.name])
    row = Row(
        probe="blocking",
        work="1.5 MB bodies: wait of a health probe beside them, p99.9, ms",
        floor=f"{floor['p999']:.2f} (max {floor['max']:.2f})",
        value=f"{mine['p999']:.2f} (max {mine['max']:.2f})" + (f", {failed:.0f} FAILED" if failed else ""),
        target=f"<= {_BLOCK_MS:.0f} ms",
        met=mine["p999"] <= _BLOCK_MS and failed == 0,
        detail=tries,
    )
    return [row]


def _blocking(bench: Bench, subject: Subject) -> dict[str, float]:
    seconds = 2 if bench.quick else 5
    big = load.request_file("big", load.body(1536 * 1024), key=subject.key)
    small = load.request_file("health", None, key="")
    with load.calling(subject.port, big, core=bench.cores[1], connections=1, seconds=seconds) as client:
        health = load.call(subject.port, small, core=bench.cores[1], connections=1, seconds=seconds - 0.5)
        bodies = load.answers(client)
    wait = health.first_byte_us
    assert wait is not None
    failed = bodies.failed + health.failed
    found = {"p50": wait.p50 / 1e3, "p99": wait.p99 / 1e3, "p999": wait.p999 / 1e3, "max": wait.max / 1e3}
    return found | {"bodies": bodies.answered, "failed": failed}


def memory(bench: Bench) -> list[Row]:
    """RSS of the worker when idle, and after runs of everything: run 10 against run 3."""
    if isinstance(bench.subject, Station):
        bench.subject.halt()
        bench.subject.start()
    worker = bench.subject.worker()
    seen = [machine.rss_kb(worker) / 1024]
    for _ in range(4 if bench.quick else 10):
        for case in CASES:
            one_round(bench, bench.subject, case, seconds=1)
        seen.append(machine.rss_kb(worker) / 1024)
    growth = seen[-1] - seen[3]
    runs = len(seen) - 1
    return [
        Row(
            probe="memory",
            work=f"RSS of the worker idle / after {runs} runs, MB",
            floor=f"{machine.rss_kb(bench.floor.worker()) / 1024:.0f}",
            value=f"{seen[0]:.0f} / {seen[-1]:.0f}",
            target="<= 80 MB",
            met=max(seen) <= 80,
            detail={"rss_mb": seen},
        ),
        Row(
            probe="memory",
            work=f"  growth from run 3 to run {runs}, MB",
            value=f"{growth:+.1f}",
            target="none (<= 1 MB)",
            met=growth <= 1,
        ),
    ]


def starting(bench: Bench) -> list[Row]:
    """From the command to the first relayed answer, without the demo model."""
    if not isinstance(bench.subject, Station):
        return []
    took = []
    for _ in range(1 if bench.quick else 3):
        bench.subject.halt()
        took.append(bench.subject.start())
    seconds = Series.of(took)
    work = "start to first relayed answer, s"
    met = seconds.median <= 3
    return [Row(probe="start", work=work, value=seconds.text(2), target="<= 3 s", met=met, detail={"seconds": took})]


def intake(bench: Bench) -> list[Row]:
    """5,000 requests a second for a while: what booking them costs the control plane, and whether it keeps up."""
    station, seconds = bench.subject, 6 if bench.quick else 30
    control, base = station.control(), station.booked()
    if control is None or base is None:
        return []
    request = load.request_file("intake", load.body(1024), key=station.key)
    backlog: list[int] = []
    ticks = 0

    def sample(answered: int) -> None:
        nonlocal ticks
        ticks += 1
        if ticks % 5 == 0:
            backlog.append(answered - ((station.booked() or 0) - base))

    before, worker_before = machine.cpu_ns(control), machine.cpu_ns(station.worker())
    options = {"connections": 50, "rate": _INTAKE_RATE, "seconds": seconds, "ticks": 1}
    with load.calling(station.port, request, core=bench.cores[1], **options) as client:
        calls = load.answers(client, sample)
    worker_us = (machine.cpu_ns(station.worker()) - worker_before) / 1e3 / calls.answered
    caught_up_s = wait_booked(station, at_least=base + calls.answered)
    control_us = (machine.cpu_ns(control) - before) / 1e3 / calls.answered
    third = len(backlog) // 3
    growth = (sum(backlog[-third:]) - sum(backlog[third : 2 * third])) / third / (seconds / 3)
    rate = calls.answered / calls.seconds
    kept_up = growth <= _INTAKE_RATE / 100 and rate >= _INTAKE_RATE * 0.98 and calls.failed == 0
    return [
        Row(
            probe="intake",
            work="intake: CPU µs of the control plane a request",
            value=f"{control_us:.1f}",
            target="<= 60",
            met=control_us <= 60,
            detail={"backlog": backlog, "answered": calls.answered, "worker_us": worker_us},
        ),
        Row(
            probe="intake",
            work=f"  backlog at {rate:.0f} requests/s: at the end, growth a second",
            value=f"{backlog[-1]}, {growth:+.0f}/s; booked {caught_up_s:.1f} s later",
            ratio=f"worker {worker_us:.0f} µs",
            target=f"no growth at {_INTAKE_RATE}/s",
            met=kept_up,
        ),
    ]


def cold_keys(bench: Bench) -> list[Row]:
    """Keys the worker has never seen, once each; then the same again, known by now. The difference is their cost."""
    station = bench.subject
    if not isinstance(station, Station):
        return []
    pids = (station.worker(), station.control())
    keys = OUT / "keys.txt"
    keys.write_text("".join(f"{key}\n" for key in station.cold_keys))
    request, total = load.request_file("cold", load.body(1024), key=KEY_LENGTH), len(station.cold_keys)
    costs = []
    for _ in ("cold", "known"):
        before, base = [machine.cpu_ns(pid) for pid in pids], station.booked()
        calls = _call_with(bench, request, keys, total)
        wait_booked(station, at_least=base + calls.answered)
        costs.append([(machine.cpu_ns(p) - b) / 1e3 / total for p, b in zip(pids, before, strict=True)])
        if calls.failed:
            raise machine.Unfit(f"{calls.failed} of {total} calls with good keys failed")
    worker, plane = (costs[0][side] - costs[1][side] for side in (0, 1))
    row = Row(
        probe="cold-keys",
        work=f"{total} keys never seen before, CPU µs each beyond a known one's",
        value=f"{worker + plane:.0f} (worker {worker:.0f}, control {plane:.0f})",
        target="<= 400",
        met=worker + plane <= 400,
        detail={"cold_us": costs[0], "known_us": costs[1]},
    )
    return [row]


def profile(bench: Bench, name: str) -> str:
    """Sample the station's worker during one kind of work; the report, which also lies in bench/out/samples.txt."""
    case = next(case for case in CASES if case.name == name)
    one_round(bench, bench.subject, case, seconds=1)
    SAMPLES.unlink(missing_ok=True)
    worker = bench.subject.worker()
    os.kill(worker, signal.SIGUSR2)
    cost = one_round(bench, bench.subject, case, seconds=max(bench.seconds, 8))
    os.kill(worker, signal.SIGUSR2)
    wait_for(SAMPLES.exists, "the worker wrote no samples", process=bench.subject.process)
    return f"{case.work}: {cost.cpu_us / case.parts:.1f} while sampled, {cost.failed} failed\n{SAMPLES.read_text()}"


def counted(bench: Bench, name: str) -> str:
    """Count the calls the station's worker makes for a request of one kind of work."""
    case = next(case for case in CASES if case.name == name)
    request, total = load.request_file("counted", case.body, key=bench.subject.key), 20 if case.parts > 1 else 500
    load.call(bench.subject.port, request, core=bench.cores[1], total=50)
    COUNTS.unlink(missing_ok=True)
    worker = bench.subject.worker()
    os.kill(worker, signal.SIGUSR1)
    calls = load.call(bench.subject.port, request, core=bench.cores[1], total=total)
    os.kill(worker, signal.SIGUSR1)
    wait_for(COUNTS.exists, "the worker wrote no counts", process=bench.subject.process)
    return per_request(COUNTS.read_text(), calls.answered)


def _call_with(bench: Bench, request: Path, keys: Path, total: int) -> load.Calls:
    return load.call(bench.subject.port, request, core=bench.cores[1], connections=50, total=total, keys=keys)
