"""What Linux tells about processes, and how they are kept on their cores."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

_PACKAGES = {"nginx": "nginx-light", "wrk": "wrk", "cc": "gcc libc6-dev"}


class Unfit(Exception):
    """This machine cannot run the bench; ``str(error)`` says what is missing."""


def cores() -> tuple[int, int]:
    """Two cores: one for whom we measure, one for everybody else."""
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        raise Unfit("two cores are needed: one for the gateway, one for load and upstream")
    return mine[0], mine[1]


def pin(pid: int, core: int) -> None:
    """Keep a process, all its threads and those it will start on one core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def cpu_ns(pid: int) -> int:
    """CPU time of a process, all threads, dead ones too: utime + stime, but in nanoseconds (its POSIX CPU clock)."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python does not offer
    except OSError:
        raise Unfit(f"process {pid} died while it was measured") from None


def rss_kb(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Unfit(f"process {pid} does not say how much memory it has")


def children(pid: int) -> list[int]:
    """Processes started by a process, eldest first."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def command(pid: int) -> str:
    """The command line of a process, or nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        return ""


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def build(out: Path) -> None:
    """Find or install the Debian packages and compile the two C programs into ``out``."""
    missing = [package for tool, package in _PACKAGES.items() if shutil.which(tool, path=_path()) is None]
    if missing:
        names = " ".join(missing).split()
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Unfit(f"missing Debian packages: {' '.join(names)}")
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *names], check=True)
    out.mkdir(exist_ok=True)
    for name in ("upstream", "client"):
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", str(out / name), str(source)], check=True)


def tool(name: str) -> str:
    """Where a program is; administrators' folders count too."""
    found = shutil.which(name, path=_path())
    if found is None:
        raise Unfit(f"{name} is not installed")
    return found


def _path() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"
