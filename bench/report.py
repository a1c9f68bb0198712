"""The table people read and the JSON that is kept."""

from __future__ import annotations

import statistics
import unicodedata
from collections.abc import Sequence
from typing import Any

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. ``met`` None: for orientation only. ``detail`` has all that was measured."""

    probe: str
    work: str
    floor: str = ""
    value: str
    ratio: str = ""
    target: str = ""
    met: bool | None = None
    detail: dict[str, Any] = msgspec.field(default_factory=dict)


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A median and how far its rounds lay apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Series:
        return cls(median=statistics.median(values), low=min(values), high=max(values))

    def text(self, digits: int = 1) -> str:
        """Say it as ``2.9 (2.7-3.1)``."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def table(rows: Sequence[Row], *, subject: str) -> str:
    """Lay the rows out in columns."""
    head = ("work", "nginx", subject, "ratio (spread)", "target", "")
    verdicts = {True: "met", False: "MISSED", None: ""}
    lines: list[tuple[str, ...]] = [
        head,
        *((r.work, r.floor, r.value, r.ratio, r.target, verdicts[r.met]) for r in rows),
    ]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(_pad(text, width) for text, width in zip(line, widths, strict=True)) for line in lines)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
