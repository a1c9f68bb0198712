"""A snapshot in pieces, so that no gateway decodes ten thousand channels in one go and stalls its streams."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from yizhan.catalog.entries import Channel, Group, Model, Price
from yizhan.catalog.snapshot import Catalog, Change, Snapshot

PART_ENTRIES = 200  # decoding that many takes well under a millisecond, during which no other thread runs

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Change, ...])


def split(snapshot: Snapshot) -> tuple[bytes, ...]:
    """Cut a snapshot into pieces."""
    changes = [
        *[Change(kind="channel", key=str(id_), channel=channel) for id_, channel in snapshot.channels.items()],
        *[Change(kind="model", key=name, model=model) for name, model in snapshot.models.items()],
        *[Change(kind="price", key=name, price=price) for name, price in snapshot.prices.items()],
        *[Change(kind="group", key=name, group=group) for name, group in snapshot.groups.items()],
    ]
    return tuple(
        _encoder.encode(changes[start : start + PART_ENTRIES]) for start in range(0, len(changes), PART_ENTRIES)
    )


def joined(seq: int, parts: Sequence[bytes]) -> Catalog:
    """Put a catalog together again; meant for a thread, which yields to the loop between the pieces."""
    channels: dict[int, Channel] = {}
    models: dict[str, Model] = {}
    prices: dict[str, Price] = {}
    groups: dict[str, Group] = {}
    for part in parts:
        for change in _decoder.decode(part):
            if change.channel is not None:
                channels[int(change.key)] = change.channel
            elif change.model is not None:
                models[change.key] = change.model
            elif change.price is not None:
                prices[change.key] = change.price
            elif change.group is not None:
                groups[change.key] = change.group
    return Catalog(Snapshot(seq=seq, channels=channels, models=models, prices=prices, groups=groups))
