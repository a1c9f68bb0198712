"""What a process of the station gets from the supervisor: sockets, a pipe that ends with it, a way to say ready.

The supervisor starts every child as ``python -m MODULE ROLE … --listen FD,FD --watch FD --ready FD``. Internal things
travel as arguments and not in the environment, where every ``YIZHAN_`` name is a setting.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from itertools import pairwise

import msgspec

_PR_SET_PDEATHSIG = 1


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The one line of JSON that the short-lived ``prepare`` process prints for the supervisor.

    ``error`` is one readable line, and then nothing is started. The secrets are there at the very first start only.
    """

    error: str = ""
    login: str = ""
    password: str = ""
    key: str = ""


class Inherited(msgspec.Struct, frozen=True, kw_only=True):
    """The file descriptors a child was started with; -1 where it was started by hand."""

    listen: tuple[int, ...] = ()
    watch: int = -1
    ready: int = -1

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Inherited:
        """Read the options from the child's arguments; words that are not ours are passed over."""
        found = dict(pairwise(arguments))
        listen = found.get("--listen", "")
        return cls(
            listen=tuple(int(number) for number in listen.split(",") if number),
            watch=int(found.get("--watch", -1)),
            ready=int(found.get("--ready", -1)),
        )

    def arguments(self) -> list[str]:
        """Spell the options as ``parse`` reads them."""
        spelled = ["--watch", str(self.watch), "--ready", str(self.ready)]
        return [*spelled, "--listen", ",".join(map(str, self.listen))] if self.listen else spelled

    def sockets(self) -> list[socket.socket]:
        """Open the listening sockets that were handed over."""
        return [socket.socket(fileno=number) for number in self.listen]

    def tell_ready(self, name: str) -> None:
        """Tell the supervisor that this child does its work now; once is enough, more does no harm."""
        if self.ready >= 0:
            os.write(self.ready, name.encode() + b"\n")

    async def until_orphaned(self) -> None:
        """Return when the supervisor is gone; never, where there is none. Cancel it when it is no longer needed."""
        gone = asyncio.Event()
        if self.watch < 0:
            await gone.wait()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.watch, gone.set)  # nobody writes to the pipe: readable means end of file
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self.watch)

    def wait_orphaned(self) -> None:
        """Block until the supervisor is gone: for a child without an event loop."""
        if self.watch < 0:
            signal.pause()
        select.select([self.watch], [], [])  # not read(): a sibling's event loop makes the shared pipe non-blocking


def follow_parent(parent: int) -> None:
    """Tie this new process to its parent's life; runs between fork and exec.

    SIGKILL, because nothing may outlive the supervisor and the journals are made for it. Where the system has no such
    thing the pipe does it. SIGINT is ignored: a Ctrl-C reaches the whole group, but the order of stopping is the
    supervisor's to keep.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(1)
