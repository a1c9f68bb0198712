"""The way to a channel's upstream, worked out once a channel and not once a request."""

from __future__ import annotations

import msgspec

from yizhan.catalog.entries import Channel
from yizhan.http1.client import Origin
from yizhan.http1.message import Header
from yizhan.protocols.openai_chat import NAME
from yizhan.vendors import load


class Outward(msgspec.Struct, frozen=True):
    """Where a channel's requests go, and the header that each of its keys makes."""

    channel: Channel
    origin: Origin
    target: bytes
    credentials: tuple[Header, ...]
    reports_stream_usage: bool


def outward(channel: Channel) -> Outward:
    """Find the way to a channel. Raises KeyError or ValueError for a vendor or an address that was never valid."""
    known = _ways.get(channel.id)
    if known is not None and known.channel is channel:
        return known
    vendor = load(channel.vendor)
    origin, prefix = Origin.parse(channel.base_url)
    made = Outward(
        channel=channel,
        origin=origin,
        target=(prefix or vendor.default_prefix.encode()) + vendor.speaks[NAME].encode(),
        credentials=tuple(vendor.credentials(key) for key in channel.keys),
        reports_stream_usage=vendor.reports_stream_usage,
    )
    if len(_ways) >= _WAYS_MAX:
        _ways.clear()
    _ways[channel.id] = made
    return made


_ways: dict[int, Outward] = {}  # by channel id; one whose channel has changed since is made anew
_WAYS_MAX = 20_000
