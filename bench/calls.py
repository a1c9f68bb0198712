"""Which functions a request calls, and how often: the one figure that no busy machine can blur."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from bench.sampler import short


class Calls:
    """Counts every call of the main thread, of Python and of C functions, while it is on."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._on = False
        self._counted: Counter[str] = Counter()

    def listen(self) -> None:
        """Let SIGUSR1 start it, and the next SIGUSR1 stop it and write what was counted, most first."""
        signal.signal(signal.SIGUSR1, self._toggle)

    def _toggle(self, _number: int, _frame: FrameType | None) -> None:
        self._on = not self._on
        if self._on:
            self._counted.clear()
            sys.setprofile(self._count)
            return
        sys.setprofile(None)
        fresh = self._out.with_suffix(".part")
        fresh.write_text("".join(f"{count}\t{name}\n" for name, count in self._counted.most_common()))
        fresh.replace(self._out)

    def _count(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "call":
            self._counted[f"{short(frame.f_code.co_filename)} {frame.f_code.co_qualname}"] += 1
        elif event == "c_call":
            self._counted[f"C {getattr(function, '__qualname__', function)}"] += 1


def per_request(counted: str, requests: int) -> str:
    """Say how often each function was called a request; a coroutine counts again each time it goes on."""
    rows = [(int(count) / requests, name) for count, _, name in (line.partition("\t") for line in counted.splitlines())]
    own = sum(calls for calls, name in rows if not name.startswith("C "))
    total = sum(calls for calls, _ in rows)
    lines = [f"{calls:8.2f}  {name}\n" for calls, name in rows if calls >= 0.01]
    return f"{own:.1f} calls of Python and {total - own:.1f} of C functions a request\n\n{''.join(lines)}"
