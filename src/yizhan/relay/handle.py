"""The story of one conversation, door to door."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Generator

from yizhan.errors import StationError
from yizhan.http1.coding import inflate
from yizhan.http1.headers import upstream_headers
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request
from yizhan.protocols.openai_chat import Wanted, peek, peek_small
from yizhan.protocols.toplevel import WHOLE_MAX
from yizhan.relay.admission import admit
from yizhan.relay.caller import known_caller, recognise
from yizhan.relay.exchange import Exchange
from yizhan.relay.metering import held_at_once, open_meter
from yizhan.relay.ports import Ports
from yizhan.relay.routing import plan

_MARK_BYTES_MAX = 128


async def handle(ports: Ports, request: Request, reply: Reply, *, request_id: str) -> None:
    """Relay one conversation. Raises StationError before anything was sent home; afterwards everything is settled."""
    catalog = ports.world.catalog  # the request keeps the version it began with
    caller = known_caller(ports, request) or await recognise(ports, request)
    body = await request.body(ports.settings.body_bytes_max)
    body = inflate(body, request.header(b"content-encoding"), limit=ports.settings.body_bytes_max)
    wanted = peek_small(body) if len(body) <= WHOLE_MAX else await _look(peek(body))
    offer = admit(catalog, caller, wanted, ports.settings)
    headers = [*upstream_headers(request.headers), (b"x-request-id", request_id.encode())]
    mark = _mark(request)
    if not held_at_once(ports, caller, offer):
        await ports.purse.hold(caller.wallet_id, offer.bound)
    meter = open_meter(ports, request_id=request_id, caller=caller, wanted=wanted, offer=offer, mark=mark)
    exchange = Exchange(ports, reply, request_id=request_id, headers=headers, wanted=wanted, meter=meter)
    error: StationError | None = None
    try:
        for channel in plan(
            offer.channels, draw=ports.draw, resting=_resting(ports), attempts_max=ports.settings.attempts_max
        ):
            if await exchange.attempt(channel):
                return
            if not exchange.may_go_on:
                break
        error = exchange.verdict()
    finally:
        exchange.close(error)
    raise error


async def _look(work: Generator[None, None, Wanted]) -> Wanted:
    """Read the request; between the slices of a large body others get their turn."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            wanted: Wanted = stop.value
            return wanted
        await asyncio.sleep(0)


def _resting(ports: Ports) -> Collection[int]:
    if not ports.cooling:
        return ()
    now = ports.clock.monotonic()
    for channel_id in [channel_id for channel_id, until in ports.cooling.items() if until <= now]:
        del ports.cooling[channel_id]
    return set(ports.cooling)


def _mark(request: Request) -> str:
    """Keep the caller's own request id beside ours, if it is one."""
    mark = request.header(b"x-request-id")
    return mark.decode("ascii") if mark is not None and len(mark) <= _MARK_BYTES_MAX and mark.isascii() else ""
