"""Measure the station beside nginx. Prints a table with targets and verdicts; everything measured goes to JSON."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(_ROOT)  # so that `python bench/run.py` finds the package `bench`, and no module of it hides another
sys.path.insert(1, str(_ROOT / "src"))

import msgspec  # noqa: E402 — after the path

from bench import figures, machine, probes, servers  # noqa: E402 — after the path
from bench.report import Row, table  # noqa: E402 — after the path

Probe = Callable[[figures.Bench], list[Row]]


def _case(case: figures.Case) -> Probe:
    return lambda bench: figures.measure(bench, case)


PROBES: dict[str, Probe] = {
    "memory": probes.memory,  # first: it wants a worker that has done nothing yet
    **{case.name: _case(case) for case in figures.CASES},
    "blocking": probes.blocking,
    "paced": probes.paced,
    "first-byte": probes.first_byte,
    "start": probes.starting,
    "intake": probes.intake,
    "cold-keys": probes.cold_keys,
}


def main() -> int:
    """Run what was asked for; 0 when every target is met, 1 when one is missed, 2 when it could not be measured."""
    options = _options()
    chosen = options.only.split(",") if options.only else list(PROBES)
    unknown = [name for name in chosen if name not in PROBES]
    if unknown:
        print(f"bench: no probe named {', '.join(unknown)}; there are {', '.join(PROBES)}", file=sys.stderr)
        return 2
    try:
        rows = _run(options, [name for name in PROBES if name in chosen])
    except machine.Unfit as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if not rows:
        return 0
    _write(rows, options)
    print("\n" + table(rows, subject=options.subject))
    if not _static():
        print("\nthis Python comes from a shared library; Debian's own is faster")
    print(f"\neverything measured: {options.json}")
    return 1 if any(row.met is False for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds and few: a look, not a verdict")
    parser.add_argument("--only", metavar="NAME,...", help=f"some of: {', '.join(PROBES)}")
    parser.add_argument("--rounds", type=int, help="pairs of rounds (default 7, quick 2)")
    parser.add_argument("--seconds", type=float, help="length of a round (default 4, quick 2)")
    parser.add_argument("--json", type=Path, default=servers.OUT / "bench.json", help="where the figures go")
    parser.add_argument(
        "--subject", choices=["yizhan", "nginx"], default="yizhan", help="nginx: check the bench itself"
    )
    cases = [case.name for case in figures.CASES]
    parser.add_argument("--profile", choices=cases, help="no figures: where the worker's time goes in one kind of work")
    parser.add_argument("--calls", choices=cases, help="no figures: how often each function is called a request")
    return parser.parse_args()


def _run(options: argparse.Namespace, chosen: list[str]) -> list[Row]:
    cores = machine.cores()
    os.sched_setaffinity(0, {cores[1]})
    machine.build(servers.OUT)
    with ExitStack() as stack:
        upstream = servers.Upstream(cores[1])
        stack.callback(upstream.stop)
        floor = servers.Nginx(upstream.port, core=cores[0])
        stack.callback(floor.stop)
        subject: servers.Subject
        if options.subject == "nginx":
            subject = servers.Nginx(upstream.port, core=cores[0], name="nginx again")
        else:
            cold_keys = 1000 if options.quick else 10_000
            sampled = bool(options.profile or options.calls)
            subject = servers.Station(upstream.port, cores=cores, cold_keys=cold_keys, sampled=sampled)
        stack.callback(subject.stop)
        bench = figures.Bench(
            upstream=upstream,
            floor=floor,
            subject=subject,
            cores=cores,
            rounds=options.rounds or (2 if options.quick else 7),
            seconds=options.seconds or (2 if options.quick else 4),
            quick=options.quick,
        )
        if options.profile or options.calls:
            print(probes.profile(bench, options.profile) if options.profile else probes.counted(bench, options.calls))
            return []
        rows = [figures.ceiling(bench)]
        for name in chosen:
            print(f"{name} …", file=sys.stderr, flush=True)
            rows += PROBES[name](bench)
        return rows


def _write(rows: list[Row], options: argparse.Namespace) -> None:
    told = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "kernel": platform.release(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load": os.getloadavg(),
            "static_python": _static(),
        },
        "quick": options.quick,
        "subject": options.subject,
        "rows": rows,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(told)))


def _static() -> bool:
    """Say whether the interpreter is one binary, as Debian's is; one in a shared library is a fifth slower or more."""
    return "/libpython" not in Path("/proc/self/maps").read_text()


if __name__ == "__main__":
    sys.exit(main())
