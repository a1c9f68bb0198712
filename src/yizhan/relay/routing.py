"""Which channels to try, best first. Pure: same inputs, same order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from yizhan.catalog.entries import Channel


def plan(
    candidates: Sequence[Channel], *, draw: Callable[[], float], resting: Collection[int], attempts_max: int
) -> Sequence[Channel]:
    """Order the channels: higher priority first, inside a tier by weighted chance, resting ones last.

    ``candidates`` come highest priority first; ``draw`` gives numbers in [0, 1). At most ``attempts_max`` are planned.
    """
    if len(candidates) == 1:
        return candidates
    ranked = sorted(
        candidates,
        key=lambda channel: (channel.id in resting, -channel.priority, -_chance(channel.weight, draw())),
    )
    return ranked[:attempts_max]


def _chance(weight: int, drawn: float) -> float:
    """Give each channel a number whose order is a weighted draw without replacement; weight 0 comes last."""
    return float(drawn ** (1 / weight)) if weight > 0 else -1.0
