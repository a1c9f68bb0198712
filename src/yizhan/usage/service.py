"""The usage log as people read it, and moments as they write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from yizhan.errors import BadRequest
from yizhan.protocols.usage import CLASSES, Usage

_AGO = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
LATEST_MS = 2**53


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """One request: what was asked, what it used by token class, what it cost and at which price version."""

    request_id: str
    at: str
    at_ms: int
    user: str | None
    key_id: int
    model: str
    channel: str | None
    channel_id: int
    operation: str
    stream: bool
    status: str
    http_status: int
    error_code: str
    estimated: bool
    input_tokens: int
    output_tokens: int
    tokens: dict[str, int]
    charge_nano_usd: int
    hold_nano_usd: int
    over_hold: bool
    price_version: int
    multiplier_ppm: int
    transaction_id: int | None
    attempts: int
    first_byte_ms: int | None
    duration_ms: int
    client_request_id: str


def view(row: Row[Any]) -> UsageView:
    """Show a row of the log."""
    tokens = {name: getattr(row, f"{name}_tokens") for name in CLASSES}
    used = Usage(**tokens)
    at = datetime.fromtimestamp(row.at_ms / 1000, UTC)
    return UsageView(
        request_id=row.request_id,
        at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        at_ms=row.at_ms,
        user=row.user,
        key_id=row.key_id,
        model=row.model,
        channel=row.channel,
        channel_id=row.channel_id,
        operation=row.operation,
        stream=row.stream,
        status=row.status,
        http_status=row.http_status,
        error_code=row.error_code,
        estimated=row.estimated,
        input_tokens=used.input_total,
        output_tokens=used.output_total,
        tokens={name: count for name, count in tokens.items() if count},
        charge_nano_usd=row.charge,
        hold_nano_usd=row.hold,
        over_hold=row.over_hold,
        price_version=row.price_version,
        multiplier_ppm=row.multiplier_ppm,
        transaction_id=row.transaction_id,
        attempts=row.attempts,
        first_byte_ms=None if row.first_byte_ms < 0 else row.first_byte_ms,
        duration_ms=row.duration_ms,
        client_request_id=row.client_request_id,
    )


def moment(text: str | None, *, now_ms: int, param: str) -> int | None:
    """Read a moment: ISO 8601 (UTC where no zone is given), or so long ago: ``90s 15m 1h 7d 4w``."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return max(0, now_ms - int(ago[1]) * _UNIT_MS[ago[2]])
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadRequest(f"{param} is a time such as 2026-01-31T12:00:00Z, or 1h, 7d.", param=param) from None
    if read.tzinfo is None:
        read = read.replace(tzinfo=UTC)
    return round(read.timestamp() * 1000)


def cursor(shown: UsageView) -> str:
    """Name the place after a row."""
    return f"{shown.at_ms}:{shown.request_id}"


def place(text: str | None) -> tuple[int, str] | None:
    """Read a cursor; raises BadRequest."""
    if text is None:
        return None
    at_ms, _, request_id = text.partition(":")
    if not at_ms.isascii() or not at_ms.isdigit() or int(at_ms) > LATEST_MS or not request_id:
        raise BadRequest("`before` is the `next` of the page before.", param="before")
    return int(at_ms), request_id
