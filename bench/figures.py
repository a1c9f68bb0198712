"""What a request costs, in rounds of nginx and the subject by turns: the ratio of each pair counts."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from bench import load, machine
from bench.report import Row, Series
from bench.servers import Subject, Upstream


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work. ``parts`` is what a request's cost is divided by: the chunks of a stream.

    Streams leave the upstream at a chunk each 2 ms. Unpaced, ten chunks reach the proxy in one piece and the slower
    proxy is the one that gets the bigger pieces; so paced, each is a read and a write, and 50 streams bring 25,000
    chunks a second.
    """

    name: str
    work: str
    size: int
    model: str = "bench-chat"
    parts: int = 1
    ratio_max: float
    peers: str

    @property
    def body(self) -> Path:
        """The request's body in a file."""
        return load.body(self.size, stream=self.parts > 1, model=self.model)


CASES = (
    Case(
        name="1KB",
        work="1 KB chat, CPU µs",
        size=1024,
        ratio_max=3.5,
        peers="nginx 22-28, Envoy 114, a Rust gateway 126, a Go gateway 494, Portkey 2600",
    ),
    Case(
        name="20KB",
        work="20 KB chat, CPU µs",
        size=20 * 1024,
        ratio_max=4.5,
        peers="nginx 29, Envoy 149, Rust 383, Go 2014",
    ),
    Case(
        name="1.5MB",
        work="1.5 MB chat with a picture, CPU µs",
        size=1536 * 1024,
        ratio_max=4.5,
        peers="nginx 1400, Envoy 1000, Rust 8900, Portkey 44000",
    ),
    Case(
        name="stream",
        work="stream of 100 chunks, CPU µs a chunk",
        size=1024,
        model="bench-pace-2",
        parts=100,
        ratio_max=2.2,
        peers="nginx 9, Envoy 18, Rust 21, Go 35",
    ),
)


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What every probe needs: who is measured, against whom, on which cores, how long and how often."""

    upstream: Upstream
    floor: Subject
    subject: Subject
    cores: tuple[int, int]
    rounds: int
    seconds: float
    quick: bool


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one server."""

    cpu_us: float
    control_us: float | None
    busy: float
    rps: float
    p50_us: int
    p99_us: int
    failed: int


def ceiling(bench: Bench) -> Row:
    """What the mock vendor manages with nobody in front of it."""
    port, core, found = bench.upstream.port, bench.cores[1], {}
    for case in CASES:
        before = machine.cpu_ns(bench.upstream.process.pid)
        what = load.body(case.size, stream=case.parts > 1)  # unpaced
        run = load.wrk(port, what, key="none", connections=50, seconds=1, core=core)
        cpu_us = (machine.cpu_ns(bench.upstream.process.pid) - before) / 1e3 / run.answered
        found[case.name] = {"rps": round(run.answered / run.seconds), "cpu_us": round(cpu_us, 2)}
    value = ", ".join(f"{name} {run['rps']:.0f}" for name, run in found.items())
    work = "upstream alone, one core shared with wrk, rps"
    return Row(probe="ceiling", work=work, value=value, detail={"per_case": found})


def measure(bench: Bench, case: Case) -> list[Row]:
    """Run one case in pairs of rounds. Its row, and one for orientation."""
    for subject in (bench.floor, bench.subject):
        one_round(bench, subject, case, seconds=1)
    pairs = []
    for _ in range(bench.rounds):
        pair = [one_round(bench, subject, case, seconds=bench.seconds) for subject in (bench.floor, bench.subject)]
        pairs.append((pair[0], pair[1]))
    floor, mine = ([pair[side] for pair in pairs] for side in (0, 1))
    ratio = Series.of([its.cpu_us / floors.cpu_us for floors, its in pairs])
    failed = sum(cost.failed for pair in pairs for cost in pair)
    per = Series.of([cost.cpu_us / case.parts for cost in mine])
    row = Row(
        probe=case.name,
        work=case.work,
        floor=Series.of([cost.cpu_us / case.parts for cost in floor]).text(),
        value=per.text() + (f", {failed} FAILED" if failed else ""),
        ratio=ratio.text(2),
        target=f"<= {case.ratio_max} x nginx",
        met=ratio.median <= case.ratio_max and failed == 0,
        detail={"pairs": pairs, "ratio": ratio, "peers_cpu_us": case.peers},
    )
    return [row, _orientation(case, floor, mine)]


def _orientation(case: Case, floor: list[Cost], mine: list[Cost]) -> Row:
    def difference(name: str) -> str:
        pairs = zip(floor, mine, strict=True)
        return f"{Series.of([(getattr(its, name) - getattr(fs, name)) / 1e3 for fs, its in pairs]).median:+.2f}"

    busy = Series.of([cost.busy for cost in mine]).median
    return Row(
        probe=case.name,
        work="  rps; p50 and p99 beyond nginx's, ms",
        floor=f"{Series.of([cost.rps for cost in floor]).median:.0f} rps",
        value=f"{Series.of([cost.rps for cost in mine]).median:.0f} rps; {difference('p50_us')} {difference('p99_us')}",
        ratio=f"core {busy:.0%} busy",
    )


def one_round(bench: Bench, subject: Subject, case: Case, *, seconds: float) -> Cost:
    """Run one round of 50 connections; what it cost the worker, and the control plane until everything was booked."""
    worker, control, booked = subject.worker(), subject.control(), subject.booked()
    before, control_before = machine.cpu_ns(worker), machine.cpu_ns(control) if control else 0
    by = load.wrk if case.parts == 1 else load.streams
    run = by(subject.port, case.body, key=subject.key, connections=50, seconds=seconds, core=bench.cores[1])
    spent = machine.cpu_ns(worker) - before
    if booked is not None:
        wait_booked(subject, at_least=booked + run.answered)
    good = max(run.answered - run.failed, 1)
    return Cost(
        cpu_us=spent / 1e3 / good,
        control_us=(machine.cpu_ns(control) - control_before) / 1e3 / good if control else None,
        busy=spent / 1e9 / run.seconds,
        rps=good / run.seconds,
        p50_us=run.p50_us,
        p99_us=run.p99_us,
        failed=run.failed,
    )


def wait_booked(subject: Subject, *, at_least: int, within_s: float = 60) -> float:
    """Wait until the ledger has caught up and rests; how long that took."""
    begun = time.monotonic()
    last = subject.booked()
    while last is not None:
        time.sleep(0.3)
        now = subject.booked()
        if now == last and now >= at_least:
            break
        if time.monotonic() - begun > within_s:
            raise machine.Unfit(f"only {now} requests are booked, not {at_least}, after {within_s} s")
        last = now
    return time.monotonic() - begun
