"""What the catalog holds: channels, models, prices, groups. Immutable; sent from the control plane to every gateway."""

from __future__ import annotations

import msgspec


class Price(msgspec.Struct, frozen=True):
    """One version of a model's price. Rates are nano-USD per million tokens; ``None`` falls back as noted."""

    version: int  # unique over all models; a charge names it for ever
    model: str
    free: bool = False
    input: int = 0
    output: int = 0
    cached_input: int | None = None  # → input
    cache_write_5m: int | None = None  # → input
    cache_write_1h: int | None = None  # → cache_write_5m, then input
    image_input: int | None = None  # → input
    audio_input: int | None = None  # → input
    reasoning: int | None = None  # → output
    image_output: int | None = None  # → output
    audio_output: int | None = None  # → output
    per_request: int = 0  # nano-USD


class Model(msgspec.Struct, frozen=True):
    """What is known of a model besides its price. ``None`` is unknown, and a setting takes its place."""

    name: str
    owned_by: str = "yizhan"
    created_s: int = 0
    context_tokens: int | None = None
    output_tokens_max: int | None = None


class Channel(msgspec.Struct, frozen=True):
    """One way to an upstream. ``models`` maps the name callers use to the name the upstream knows."""

    id: int
    name: str
    vendor: str
    base_url: str
    keys: tuple[str, ...]
    models: dict[str, str]
    groups: tuple[str, ...] = ("default",)
    priority: int = 0  # higher is tried first
    weight: int = 1
    enabled: bool = True
    proxy: str | None = None

    def __repr__(self) -> str:
        return f"Channel({self.id}, {self.name!r})"  # never its keys


class Group(msgspec.Struct, frozen=True):
    """A price group. ``multiplier_ppm`` 1,000,000 charges the list price."""

    name: str
    multiplier_ppm: int = 1_000_000


Entry = Channel | Model | Price | Group
