"""Whose fault a failed attempt was, and what follows: try elsewhere, or tell the caller."""

from __future__ import annotations

import msgspec

from yizhan.errors import RefusedByUpstream, StationError, UpstreamBusy, UpstreamFailed, UpstreamTimeout
from yizhan.http1.message import ConnectFailed, Headers, NoAnswer, TooSlow, TransferFailed, first

RETRY_AFTER_MAX_S = 3600


class Failure(msgspec.Struct, frozen=True):
    """One attempt that came to nothing. ``useful`` ranks what is told when all fail."""

    error: StationError
    useful: int
    elsewhere: bool = True  # may another channel do better?
    rest_s: float = 0  # leave the channel alone for so long


class NotUsable(TransferFailed):
    """An answer that said 200 and was none; ``str(error)`` says what it was instead."""


def of_status(status: int, headers: Headers) -> Failure:
    """Judge an answer by its status: whether the request is at fault, or our key, our account, the upstream itself."""
    if status in (400, 409, 413, 415, 422):
        return Failure(RefusedByUpstream("the upstream refused the request"), useful=9, elsewhere=False)
    if status == 429:
        wait = retry_after_s(headers)
        error = UpstreamBusy("the upstream is at its rate limit; try again later", retry_after_s=wait or 1)
        return Failure(error, useful=5, rest_s=wait or 1)
    if status in (401, 402, 403):
        return Failure(UpstreamFailed("the channel's own account was refused by its upstream"), useful=2, rest_s=5)
    if status == 404:
        return Failure(UpstreamFailed("the upstream does not know this model"), useful=3)
    if status in (408, 504):
        return Failure(UpstreamTimeout("the upstream took too long"), useful=4)
    return Failure(UpstreamFailed(f"the upstream failed with status {status}"), useful=4)


def of_exception(error: TransferFailed) -> Failure:
    """Judge a transfer that broke. The sentence names no address: it goes to callers."""
    match error:
        case NotUsable():
            return Failure(UpstreamFailed(str(error)), useful=4)
        case ConnectFailed():
            return Failure(UpstreamFailed("the upstream could not be reached"), useful=1)
        case TooSlow():
            return Failure(UpstreamTimeout("the upstream did not answer in time"), useful=4)
        case NoAnswer():
            return Failure(UpstreamFailed("the upstream closed the connection without an answer"), useful=3)
    return Failure(UpstreamFailed("the upstream's answer broke off or was not understood"), useful=3)


def retry_after_s(headers: Headers) -> int | None:
    """Read Retry-After in seconds, bounded; a date or nonsense counts as none."""
    value = first(headers, b"retry-after")
    if value is None or not value.strip().isdigit():
        return None
    return min(int(value), RETRY_AFTER_MAX_S)
