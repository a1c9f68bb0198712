"""Where CPU time goes, by samples: a timer of CPU time interrupts the program, and the lines it stands on are counted.

``python -m bench.sampler [--out FILE] MODULE [ARGUMENT...]`` runs a module so and reports when it ends. Python looks at
signals when a call returns, a function begins or a loop turns. So time inside a C function counts for the line that
called it, and C that calls back (the event loop, the parser) for the ``def`` line of what it calls.
"""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

_EVERY_S = 0.001  # of CPU; kernels round it up to their tick, often 4 ms
_DEPTH_MAX = 100
_ROOT = str(Path(__file__).resolve().parent.parent) + os.sep

Line = tuple[str, int, str]  # file, line, function
Function = tuple[str, str]


class Sampler:
    """Counts lines and functions, at the top of the stack and anywhere in it, while it is on."""

    def __init__(self, out: Path | None = None) -> None:
        self._out = out
        self._on = False
        self._clear()

    def start(self) -> None:
        """Begin anew."""
        self._clear()
        self._on = True
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)

    def stop(self) -> None:
        """Stop, and write the report to the file, or to stderr."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._on = False
        if self._out is None:
            sys.stderr.write(self.report())
            return
        fresh = self._out.with_suffix(".part")  # whoever waits for the file finds it whole
        fresh.write_text(self.report())
        fresh.replace(self._out)

    def listen(self) -> None:
        """Let SIGUSR2 start it, and the next SIGUSR2 stop it."""
        signal.signal(signal.SIGUSR2, lambda _number, _frame: self.stop() if self._on else self.start())

    def report(self, most: int = 40) -> str:
        """Say which lines and functions were met most."""
        sections = [
            ("lines by self", _lines(self.line_self)),
            ("functions by self", _functions(self.function_self)),
            ("functions with all they call", _functions(self.function_total)),
            ("lines with all they call", _lines(self.line_total)),
        ]
        text = [f"{self.samples} samples\n"]
        for title, counted in sections:
            text.append(f"\n{title}\n")
            text += [f"{count / max(self.samples, 1):7.1%}  {name}\n" for name, count in counted.most_common(most)]
        return "".join(text)

    def _clear(self) -> None:
        self.samples = 0
        self.line_self: Counter[Line] = Counter()
        self.line_total: Counter[Line] = Counter()
        self.function_self: Counter[Function] = Counter()
        self.function_total: Counter[Function] = Counter()

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        self.samples += 1
        lines: list[Line] = []
        while frame is not None and len(lines) < _DEPTH_MAX:
            code = frame.f_code
            lines.append((code.co_filename, frame.f_lineno, code.co_qualname))
            frame = frame.f_back
        if not lines:
            return
        self.line_self[lines[0]] += 1
        self.function_self[_function(lines[0])] += 1
        self.line_total.update(set(lines))  # once a sample, however often it recurs in the stack
        self.function_total.update({_function(line) for line in lines})


def _function(line: Line) -> Function:
    return line[0], line[2]


def _lines(counted: Counter[Line]) -> Counter[str]:
    return Counter({f"{short(file)}:{line} {name}": count for (file, line, name), count in counted.items()})


def _functions(counted: Counter[Function]) -> Counter[str]:
    return Counter({f"{short(file)} {name}": count for (file, name), count in counted.items()})


def short(file: str) -> str:
    """Name a source file without what is the same for all."""
    return file.removeprefix(_ROOT).removeprefix("src/").rpartition("site-packages/")[2]


def main() -> None:
    """Run a module with the sampler on."""
    parser = argparse.ArgumentParser(prog="python -m bench.sampler", description=__doc__)
    parser.add_argument("--out", type=Path, help="file of the report; without it, stderr")
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    sys.argv = [options.module, *options.arguments]
    sampler = Sampler(options.out)
    sampler.start()
    try:
        runpy.run_module(options.module, run_name="__main__", alter_sys=True)
    finally:
        sampler.stop()


if __name__ == "__main__":
    main()
