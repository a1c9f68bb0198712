"""Try a channel for real: one short chat, from the control plane."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from sqlalchemy import Row

from yizhan import vendors
from yizhan.channels import service
from yizhan.clock import Clock
from yizhan.store.seal import Seal

_TIMEOUT_S = 30.0
_BYTES_MAX = 256 * 1024
_PROTOCOL = "openai_chat"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel did. ``message`` is what went wrong, without secrets; empty when all was well."""

    ok: bool
    model: str
    http_status: int | None
    duration_ms: int
    message: str = ""


async def run(row: Row[Any], *, model: str, seal: Seal, clock: Clock) -> Trial:
    """Ask the upstream for one token and say how that went; never raises for what the upstream does."""
    vendor = vendors.load(row.vendor)
    if _PROTOCOL not in vendor.speaks:
        return Trial(ok=False, model=model, http_status=None, duration_ms=0, message="No test for this vendor yet.")
    base = row.base_url.rstrip("/")
    if not urlsplit(base).path:
        base += vendor.default_prefix
    headers = dict([vendor.credentials(key) for key in service.opened_keys(row, seal)[:1]])
    proxy = None if row.proxy_sealed is None else seal.unseal(row.proxy_sealed).decode()
    body = {"model": row.models[model], "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
    begun = clock.monotonic()
    status: int | None = None
    try:
        context = ssl.create_default_context()
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, proxy=proxy, verify=context) as client:
            url = base + vendor.speaks[_PROTOCOL]
            async with client.stream("POST", url, json=body, headers=headers) as answer:
                status = answer.status_code
                message = _judged(status, await _read(answer))
    except (httpx.HTTPError, OSError) as error:
        message = f"{type(error).__name__}: {error}"[:300] or type(error).__name__
    duration_ms = round((clock.monotonic() - begun) * 1000)
    return Trial(ok=not message, model=model, http_status=status, duration_ms=duration_ms, message=message)


async def _read(answer: httpx.Response) -> bytes:
    body = b""
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > _BYTES_MAX:
            break
    return body[:_BYTES_MAX]


def _judged(status: int, body: bytes) -> str:
    """Say what is wrong with an answer; empty when nothing is."""
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        answer = None
    if status == 200:
        return "" if isinstance(answer, dict) and answer.get("choices") else "200, but not a chat completion."
    error = answer.get("error") if isinstance(answer, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    return f"HTTP {status}" + (f": {said}"[:300] if isinstance(said, str) and said else "")
