"""Stand-ins for the station's processes: ``python stand_in.py ROLE …`` as the supervisor starts them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from yizhan.process import Inherited, Prepared

HOME = Path(os.environ["YIZHAN_HOME"])


def note(line: str) -> None:
    with (HOME / "log").open("a") as log:
        log.write(f"{line} {os.getpid()}\n")


def prepare() -> None:
    note(f"prepare {' '.join(sys.argv[2:])}")
    error = os.environ.get("STANDIN_ERROR", "")
    first = not (HOME / "yizhan.db").exists()
    (HOME / "yizhan.db").touch()
    found = Prepared(error=error, login="admin", password="secret-word", key="sk-first") if first else Prepared()
    sys.stdout.buffer.write(msgspec.json.encode(msgspec.structs.replace(found, error=error)) + b"\n")
    sys.exit(1 if error else 0)


def live(name: str, inherited: Inherited) -> None:
    def end(*_: object) -> None:
        note(f"ended {name}")
        if os.environ.get("STANDIN_DEAF") != name:
            sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    note(f"began {name}")
    inherited.tell_ready(name)
    sockets = inherited.sockets()
    for each in sockets:
        each.setblocking(True)
    while sockets:
        caller, _ = sockets[0].accept()
        with caller:
            caller.sendall(b"%d" % os.getpid())
    inherited.wait_orphaned()
    note(f"orphaned {name}")


if __name__ == "__main__":
    role = sys.argv[1]
    if role == "prepare":
        prepare()
    elif role == "crash":
        note("began crash")
        sys.exit(3)
    else:
        live(f"gateway {sys.argv[2]}" if role == "gateway" else role, Inherited.parse(sys.argv))
