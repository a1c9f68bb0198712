"""What a channel must be to be saved, and how one is shown."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Row

from yizhan import vendors
from yizhan.errors import BadRequest
from yizhan.store.seal import Seal

TAIL = 4
MODELS_MAX = 2_000
KEYS_MAX = 1_000


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as people may see it. ``key_tails``: the last characters of its keys, and never more."""

    id: int
    name: str
    vendor: str
    base_url: str
    key_tails: list[str]
    models: dict[str, str]
    groups: list[str]
    priority: int
    weight: int
    enabled: bool
    proxied: bool
    note: str
    created_ms: int


def view(row: Row[Any], seal: Seal) -> ChannelView:
    """Show a channel's row."""
    return ChannelView(
        id=row.id,
        name=row.name,
        vendor=row.vendor,
        base_url=row.base_url,
        key_tails=[_tail(key) for key in opened_keys(row, seal)],
        models=row.models,
        groups=list(row.groups),
        priority=row.priority,
        weight=row.weight,
        enabled=row.enabled,
        proxied=row.proxy_sealed is not None,
        note=row.note,
        created_ms=row.created_ms,
    )


def opened_keys(row: Row[Any], seal: Seal) -> list[str]:
    """Unseal a channel's keys, for the one request that needs them."""
    return msgspec.json.decode(seal.unseal(row.keys_sealed), type=list[str])


def sealed_keys(keys: list[str], seal: Seal) -> bytes:
    """Check and seal a channel's keys; raises BadRequest."""
    if len(keys) > KEYS_MAX:
        raise BadRequest(f"A channel has up to {KEYS_MAX} keys.", param="keys")
    for key in keys:
        if not key or len(key) > 4096 or not key.isascii() or not key.isprintable() or key != key.strip():
            raise BadRequest("A key is printable ASCII without blanks around it.", param="keys")
    return seal.seal(msgspec.json.encode(keys))


def check_name(name: str) -> None:
    """Raise BadRequest for a name that could be taken for an id, or does not fit the table."""
    if not name.strip() or len(name) > 64 or name.isdigit() or not name.isprintable() or "/" in name:
        raise BadRequest("A channel's name has 1 to 64 characters, no `/`, and is not a number.", param="name")


def check_vendor(name: str) -> None:
    """Raise BadRequest unless there is such a vendor."""
    try:
        vendors.load(name)
    except KeyError:
        raise BadRequest(f"There is no vendor {name!r}.", param="vendor") from None


def check_url(url: str, *, param: str = "base_url", schemes: tuple[str, ...] = ("http", "https")) -> None:
    """Raise BadRequest unless requests could be sent there."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadRequest(f"{param} is not a URL.", param=param) from None
    if parts.scheme not in schemes or not parts.hostname or port == 0 or len(url) > 512:
        raise BadRequest(f"{param} begins with {' or '.join(s + '://' for s in schemes)} and a host.", param=param)
    if parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise BadRequest(f"{param} has no query, no fragment and no blanks.", param=param)
    if param == "base_url" and (parts.username is not None or parts.password is not None):
        raise BadRequest("A base_url holds no credentials; those are the channel's keys.", param=param)


def check_models(models: dict[str, str]) -> None:
    """Raise BadRequest unless every name can be asked for."""
    if not models or len(models) > MODELS_MAX:
        raise BadRequest(f"A channel serves 1 to {MODELS_MAX} models.", param="models")
    for name in (*models, *models.values()):
        if not name or len(name) > 255 or not name.isprintable() or name != name.strip():
            raise BadRequest("A model's name has 1 to 255 printable characters.", param="models")


def _tail(key: str) -> str:
    return key[-TAIL:] if len(key) >= 4 * TAIL else "…"
