"""Who is calling: the key in the request, and whether it may be used now."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from yizhan.errors import KeyDisabled, KeyExhausted, KeyExpired, MissingKey
from yizhan.http1.request import Request
from yizhan.purse.ports import KeyRecord
from yizhan.relay.ports import Ports

KEY_BYTES_MAX = 256


async def recognise(ports: Ports, request: Request) -> KeyRecord:
    """Find the caller's key record. Raises MissingKey, UnknownKey, KeyDisabled, KeyExpired, MoneyUnavailable."""
    record = await ports.keyring.find(key_of(request))
    if record.status == "disabled":
        raise KeyDisabled("this API key is disabled; ask whoever runs the station, or use another key")
    if record.status == "exhausted":
        raise KeyExhausted("this API key has used up its spending cap")
    if record.expires_at_ms is not None and ports.clock.now_ms() >= record.expires_at_ms:
        raise KeyExpired("this API key has expired; create a new one")
    return record


def key_of(request: Request) -> bytes:
    """Take the key from wherever clients put it: Authorization (with or without Bearer), x-api-key, …, ``?key=``."""
    found: dict[bytes, bytes] = {}
    for name, value in request.headers:
        if name in _PLACES:
            found.setdefault(name, value)
    for place in _PLACES:
        key = found.get(place, b"").strip()
        if place == b"authorization" and key[:7].lower() == b"bearer ":
            key = key[7:].strip()
        if key:
            return _checked(key)
    for pair in request.query.split(b"&"):
        if pair.startswith(b"key="):
            return _checked(unquote_to_bytes(pair[4:]))
    raise MissingKey("no API key: send it as `Authorization: Bearer sk-…`")


_PLACES = (b"authorization", b"x-api-key", b"x-goog-api-key")


def _checked(key: bytes) -> bytes:
    if not key or len(key) > KEY_BYTES_MAX:
        raise MissingKey("no API key: send it as `Authorization: Bearer sk-…`")
    return key
