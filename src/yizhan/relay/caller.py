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
    return _allowed(ports, await ports.keyring.find(key_of(request)))


def known_caller(ports: Ports, request: Request) -> KeyRecord | None:
    """Find the record of a key seen lately, without waiting; None means ``recognise`` has to ask. Raises the same."""
    record = ports.keyring.known(key_of(request))
    return _allowed(ports, record) if record is not None else None


def _allowed(ports: Ports, record: KeyRecord) -> KeyRecord:
    if record.status != "enabled":
        if record.status == "exhausted":
            raise KeyExhausted("this API key has used up its spending cap")
        raise KeyDisabled("this API key is disabled; ask whoever runs the station, or use another key")
    if record.expires_at_ms is not None and ports.clock.now_ms() >= record.expires_at_ms:
        raise KeyExpired("this API key has expired; create a new one")
    return record


def key_of(request: Request) -> bytes:
    """Take the key from wherever clients put it: Authorization (with or without Bearer), x-api-key, …, ``?key=``."""
    for place in _PLACES:
        value = request.header(place)
        if value is None:
            continue
        key = value.strip()
        if place is _AUTHORIZATION and key[:7].lower() == b"bearer ":
            key = key[7:].strip()
        if key:
            return _checked(key)
    for pair in request.query.split(b"&"):
        if pair.startswith(b"key="):
            return _checked(unquote_to_bytes(pair[4:]))
    raise MissingKey("no API key: send it as `Authorization: Bearer sk-…`")


_AUTHORIZATION = b"authorization"
_PLACES = (_AUTHORIZATION, b"x-api-key", b"x-goog-api-key")


def _checked(key: bytes) -> bytes:
    if not key or len(key) > KEY_BYTES_MAX:
        raise MissingKey("no API key: send it as `Authorization: Bearer sk-…`")
    return key
