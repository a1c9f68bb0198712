"""Metrics of several workers added up, in the Prometheus text format."""

from __future__ import annotations

from collections.abc import Iterable


def added_up(texts: Iterable[str]) -> str:
    """Add the samples of the same name and labels; comments stand once, before the samples they belong to."""
    comments: dict[str, dict[str, None]] = {}  # metric → its comments, in order
    samples: dict[str, dict[str, float]] = {}  # metric → name and labels → value
    for text in texts:
        metric = ""
        for line in text.splitlines():
            if line.startswith("# "):
                metric = line.split(" ", 3)[2] if line.count(" ") > 1 else metric
                comments.setdefault(metric, {})[line] = None
            elif line:
                sample, _, value = line.rpartition(" ")
                name = sample.partition("{")[0]
                family = metric if metric and name.startswith(metric) else name
                sums = samples.setdefault(family, {})
                sums[sample] = sums.get(sample, 0.0) + float(value)
    lines: list[str] = []
    for family in comments | samples:
        lines += comments.get(family, {})
        lines += [f"{sample} {_shown(value)}" for sample, value in samples.get(family, {}).items()]
    return "\n".join(lines) + "\n" if lines else ""


def _shown(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
