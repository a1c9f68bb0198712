"""Method and path → what answers. What is not relayed is forwarded to the control plane; there is one public port."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Protocol

import msgspec

from yizhan.errors import CallerGone, InternalError, MethodNotAllowed, ModelNotFound, NoSuchRoute, StationError
from yizhan.http1.message import Headers
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request
from yizhan.protocols.openai_chat import encode_error, error_event
from yizhan.relay.caller import recognise
from yizhan.relay.forward import forward
from yizhan.relay.handle import handle
from yizhan.relay.homeward import CORS
from yizhan.relay.ports import Ports

_log = logging.getLogger("yizhan.relay")


class Answerer(Protocol):
    """What answers a route."""

    def __call__(self, ports: Ports, request: Request, reply: Reply, *, request_id: str) -> Awaitable[None]: ...


_JSON: Headers = [(b"content-type", b"application/json")]


class _ModelCard(msgspec.Struct):
    id: str
    created: int
    owned_by: str
    object: str = "model"


class _ModelList(msgspec.Struct):
    data: list[_ModelCard]
    object: str = "list"


async def _models(ports: Ports, request: Request, reply: Reply, *, request_id: str) -> None:
    caller = await recognise(ports, request)
    catalog = ports.world.catalog
    names = [name for name in catalog.models_of(caller.group) if caller.models is None or name in caller.models]
    cards = [_card(ports, name) for name in names]
    name = request.path.decode("latin-1")[len("/v1/models/") :]
    if not name:
        _send(reply, 200, msgspec.json.encode(_ModelList(cards)), request_id)
        return
    for card in cards:
        if card.id == name:
            _send(reply, 200, msgspec.json.encode(card), request_id)
            return
    raise ModelNotFound(f"no model {name!r} here; GET /v1/models lists them", param="model")


def _card(ports: Ports, name: str) -> _ModelCard:
    known = ports.world.catalog.snapshot.models.get(name)
    if known is None:
        return _ModelCard(name, 0, "yizhan")
    return _ModelCard(name, known.created_s, known.owned_by)


async def _healthz(ports: Ports, request: Request, reply: Reply, *, request_id: str) -> None:  # noqa: ARG001
    _send(reply, 200, b'{"status":"ok"}', request_id)


async def _readyz(ports: Ports, request: Request, reply: Reply, *, request_id: str) -> None:  # noqa: ARG001
    ready = ports.world.ready and ports.journal.healthy
    _send(reply, 200 if ready else 503, b'{"ready":true}' if ready else b'{"ready":false}', request_id)


ROUTES: dict[bytes, dict[bytes, Answerer]] = {
    b"/v1/chat/completions": {b"POST": handle},
    b"/chat/completions": {b"POST": handle},  # for clients whose base URL was given without /v1
    b"/v1/models": {b"GET": _models},
    b"/models": {b"GET": _models},
    b"/healthz": {b"GET": _healthz},
    b"/readyz": {b"GET": _readyz},
}


async def answer(ports: Ports, request: Request, reply: Reply) -> None:
    """Answer any request that reaches the public port."""
    request_id = ports.ids.new("req")
    try:
        answerer = _find(request)
        if answerer is not None:
            await answerer(ports, request, reply, request_id=request_id)
        elif request.method == b"OPTIONS" and _is_relayed(request.path):
            _preflight(request, reply, request_id)
        else:
            await forward(ports, request, reply, request_id=request_id)
    except CallerGone:
        return
    except StationError as error:
        answer_error(reply, error, request_id)
    except Exception:
        _log.exception("request %s failed", request_id)
        answer_error(reply, InternalError("a fault of the station; it has been logged"), request_id)


def answer_error(reply: Reply, error: StationError, request_id: str) -> None:
    """Say an error in the caller's protocol: as an answer, or as the last event of a stream that a heartbeat opened."""
    if reply.gone:
        return
    if reply.started:
        reply.end(error_event(error, request_id=request_id))
        return
    headers: Headers = []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if error.status in (402, 429) and not error.retry:
        headers.append((b"x-should-retry", b"false"))
    _send(reply, error.status, encode_error(error, request_id=request_id), request_id, headers)


def _find(request: Request) -> Answerer | None:
    path = request.path
    methods = ROUTES.get(path)
    if methods is None:
        if path.startswith(b"/v1/models/"):
            methods = ROUTES[b"/v1/models"]
        elif path.startswith(b"/v1/"):
            raise NoSuchRoute(f"no route {_shown(request)}; the station's docs are at /docs/api")
        else:
            return None
    answerer = methods.get(request.method)
    if answerer is None and request.method == b"HEAD":
        answerer = methods.get(b"GET")
    if answerer is None and request.method != b"OPTIONS":
        allowed = b", ".join(methods).decode()
        raise MethodNotAllowed(f"{_shown(request)} is not to be had; the method is {allowed}")
    return answerer


def _is_relayed(path: bytes) -> bool:
    return path in ROUTES or path.startswith(b"/v1/")


def _shown(request: Request) -> str:
    return f"{request.method.decode('latin-1')[:16]} {request.path.decode('latin-1')[:200]}"


def _preflight(request: Request, reply: Reply, request_id: str) -> None:
    wished = request.header(b"access-control-request-headers") or b"authorization, content-type"
    reply.send(
        204,
        [
            (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
            (b"access-control-allow-headers", wished),
            (b"access-control-max-age", b"86400"),
            (b"x-request-id", request_id.encode()),
            *CORS,
        ],
        b"",
    )


def _send(reply: Reply, status: int, body: bytes, request_id: str, headers: Headers = []) -> None:  # noqa: B006
    reply.send(status, [*_JSON, (b"x-request-id", request_id.encode()), *headers, *CORS], body)
