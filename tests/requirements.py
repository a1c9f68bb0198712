"""The programs that tests and benchmarks need, as Debian packages: ``python3 tests/requirements.py test|bench``.

Missing ones are installed where we are root; else one line says what to install. Runs with any Python, before .venv.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# package → a program of it, or a file that may bear a version in its path
WANTED = {
    "test": {
        "nginx-light": "nginx",
        "postgresql": "/usr/lib/postgresql/*/bin/initdb",
        "chromium": "chromium",
        "curl": "curl",
        "nodejs": "node",
    },
    "bench": {"nginx-light": "nginx", "wrk": "wrk", "gcc": "gcc", "libc6-dev": "/usr/include/stdio.h"},
}


def missing(purpose: str) -> list[str]:
    """Name the packages whose program is not here."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return [
        package
        for package, program in WANTED[purpose].items()
        if not (any(Path("/").glob(program[1:])) if program.startswith("/") else shutil.which(program, path=path))
    ]


def main(purpose: str) -> int:
    """Install what is missing; 0 when all is there."""
    packages = missing(purpose)
    if not packages:
        return 0
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"yizhan: missing programs; on Debian: sudo apt-get install {' '.join(packages)}", file=sys.stderr)
        return 1
    print(f"--- installing {' '.join(packages)}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-qq"], install):
        if subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            print(f"yizhan: `{' '.join(command)}` failed", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
