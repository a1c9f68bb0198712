"""The world as a gateway knows it: one immutable snapshot, replaced as a whole by each delta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from yizhan.catalog.entries import Channel, Group, Model, Price

T = TypeVar("T")


class Change(msgspec.Struct, frozen=True):
    """One entry set (``entry``) or removed (``None``). ``key`` is the channel id, or the name, as text."""

    kind: str  # channel · model · price · group
    key: str
    channel: Channel | None = None
    model: Model | None = None
    price: Price | None = None
    group: Group | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """The whole catalog at ``seq``. Prices hold the version in force; older versions stay in the database."""

    seq: int
    channels: dict[int, Channel]
    models: dict[str, Model]
    prices: dict[str, Price]
    groups: dict[str, Group]


class Terms(msgspec.Struct, frozen=True):
    """All that holds where a group asks for a model."""

    channels: tuple[Channel, ...]  # that serve it, highest priority first
    price: Price | None
    group: Group | None
    model: Model | None


EMPTY = Snapshot(seq=0, channels={}, models={}, prices={}, groups={"default": Group(name="default")})


class Catalog:
    """A snapshot with the index routing needs. Immutable: ``after`` makes the next one and shares what is unchanged."""

    __slots__ = ("_serving", "_terms", "snapshot")

    def __init__(self, snapshot: Snapshot, serving: dict[tuple[str, str], tuple[Channel, ...]] | None = None) -> None:
        self.snapshot = snapshot
        self._serving = serving if serving is not None else _index(snapshot.channels.values())
        self._terms: dict[tuple[str, str], Terms] = {}  # of those asked for and served; no more than `_serving` has

    def channels_for(self, group: str, model: str) -> tuple[Channel, ...]:
        """List the enabled channels that serve the model to the group, highest priority first."""
        return self._serving.get((group, model), ())

    def terms(self, group: str, model: str) -> Terms:
        """Find all that holds where the group asks for the model; put together once."""
        route = (group, model)
        terms = self._terms.get(route)
        if terms is None:
            held = self.snapshot
            channels = self.channels_for(group, model)
            terms = Terms(channels, held.prices.get(model), held.groups.get(group), held.models.get(model))
            if channels:
                self._terms[route] = terms
        return terms

    def serves(self, model: str) -> bool:
        """Say whether any group is served this model."""
        return any((group, model) in self._serving for group in self.snapshot.groups)

    def models_of(self, group: str) -> list[str]:
        """List the names of the models the group is served, in order."""
        return sorted(model for name, model in self._serving if name == group)

    def after(self, seq: int, changes: Iterable[Change]) -> Catalog:
        """Make the catalog that follows this one. Cost grows with the number of entries only by a flat copy."""
        channels, models = dict(self.snapshot.channels), dict(self.snapshot.models)
        prices, groups = dict(self.snapshot.prices), dict(self.snapshot.groups)
        touched: list[Channel] = []
        for change in changes:
            match change.kind:
                case "channel":
                    old = channels.pop(int(change.key), None)
                    if old is not None:
                        touched.append(old)
                    if change.channel is not None:
                        channels[change.channel.id] = change.channel
                        touched.append(change.channel)
                case "model":
                    _put(models, change.key, change.model)
                case "price":
                    _put(prices, change.key, change.price)
                case "group":
                    _put(groups, change.key, change.group)
                case other:
                    raise ValueError(f"a change of kind {other!r} is unknown")
        snapshot = Snapshot(seq=seq, channels=channels, models=models, prices=prices, groups=groups)
        return Catalog(snapshot, _reindexed(self._serving, touched, channels))


def _put(entries: dict[str, T], key: str, entry: T | None) -> None:
    if entry is None:
        entries.pop(key, None)
    else:
        entries[key] = entry


def _routes(channel: Channel) -> list[tuple[str, str]]:
    return [(group, model) for group in channel.groups for model in channel.models]


def _sorted(channels: Iterable[Channel]) -> tuple[Channel, ...]:
    return tuple(sorted(channels, key=lambda channel: (-channel.priority, channel.id)))


def _index(channels: Iterable[Channel]) -> dict[tuple[str, str], tuple[Channel, ...]]:
    serving: dict[tuple[str, str], list[Channel]] = {}
    for channel in channels:
        if channel.enabled:
            for route in _routes(channel):
                serving.setdefault(route, []).append(channel)
    return {route: _sorted(found) for route, found in serving.items()}


def _reindexed(
    serving: dict[tuple[str, str], tuple[Channel, ...]], touched: list[Channel], channels: dict[int, Channel]
) -> dict[tuple[str, str], tuple[Channel, ...]]:
    """Redo only the routes of the channels that changed."""
    if not touched:
        return serving
    fresh = dict(serving)
    ids = {channel.id for channel in touched}
    for route in {route for channel in touched for route in _routes(channel)}:
        kept = [channel for channel in fresh.get(route, ()) if channel.id not in ids]
        kept += [
            channels[id_]
            for id_ in ids
            if id_ in channels and channels[id_].enabled and route in set(_routes(channels[id_]))
        ]
        if kept:
            fresh[route] = _sorted(kept)
        else:
            fresh.pop(route, None)
    return fresh
