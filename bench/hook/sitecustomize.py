"""Python imports this before anything else where this folder is on its path: it lets the worker be profiled."""

import sys
from pathlib import Path

if sys.orig_argv[1:4] == ["-m", "yizhan.app", "gateway"]:
    from bench.calls import Calls
    from bench.sampler import Sampler

    out = Path(__file__).resolve().parent.parent / "out"
    Sampler(out / "samples.txt").listen()
    Calls(out / "calls.txt").listen()
