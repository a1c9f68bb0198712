"""Composition: the mains of the station's processes, and the only place that names the gateway's concrete classes.

``python -m yizhan.app gateway INDEX | control | prepare``, started by the supervisor.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import ssl
import sys
from functools import partial
from itertools import pairwise

import msgspec
import uvloop

from yizhan.clock import Clock, SystemClock
from yizhan.config import BadSetting, Settings, load
from yizhan.http1.client import Client, Timeouts
from yizhan.http1.message import Limits
from yizhan.http1.server import Server, ServerSettings
from yizhan.ids import Ids
from yizhan.link.client import LinkClient
from yizhan.observe.figures import Figures
from yizhan.observe.logs import set_up_logs
from yizhan.process import Inherited
from yizhan.purse.journal import Journal
from yizhan.purse.keyring import KeyRing
from yizhan.purse.purse import Purse
from yizhan.purse.shipping import Shipper
from yizhan.relay.endpoints import answer
from yizhan.relay.ports import Ports
from yizhan.relay.ticking import tick_for_ever

_CONTROL_NICE = 5  # on a machine with few cores a batch being booked must not stand in a stream's way
_GC_YOUNG = 10_000
_SHIP_OUT_S = 8.0  # for the last records, when stopping


class Gateway:
    """One worker of the data plane."""

    def __init__(self, settings: Settings, name: str, clock: Clock) -> None:
        """Open the journal and put the parts together; must run inside the worker's loop."""
        ids = Ids(clock)
        limits = _limits(settings)
        self.settings = settings
        self.journal = Journal.open(
            settings.home_path / "journal", ids.new(name), segment_bytes=settings.journal_segment_bytes
        )
        self.figures = Figures(in_flight=lambda: self.server.in_flight, connections=lambda: self.server.connections)
        self.link = LinkClient(
            address=settings.link_address,
            gateway=name,
            journal=self.journal.name,
            secret=settings.link_secret,
            timeout_s=settings.link_timeout_s,
        )
        self.link.figures = self.figures.text
        self.purse = Purse(self.link, clock=clock)
        self.keyring = KeyRing(
            self.link, clock=clock, keys_max=settings.keys_cached_max, unknown_s=settings.unknown_keys_s
        )
        self.link.attach(purse=self.purse, keyring=self.keyring)
        self.shipper = Shipper(self.journal, self.link)
        self.client = Client(
            limits=limits, pool_origin_max=settings.pool_origin_max, pool_idle_max=settings.pool_idle_max
        )
        self.ports = Ports(
            settings=settings,
            clock=clock,
            ids=ids,
            world=self.link,
            keyring=self.keyring,
            purse=self.purse,
            journal=self.journal,
            client=self.client,
            figures=self.figures,
            draw=random.SystemRandom().random,
            timeouts=_timeouts(settings),
        )
        self.server = Server(
            partial(answer, self.ports),
            limits=limits,
            settings=_server_settings(settings),
            clock=clock,
            request_id=partial(ids.new, "req"),
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to write, ship and listen to the control plane."""
        self.journal.start(sync_s=self.settings.journal_sync_ms / 1000)
        await self.link.start()
        self.shipper.start()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(tick_for_ever(self.ports)),
            loop.create_task(self.purse.sweep_for_ever(idle_s=self.settings.lease_idle_s)),
        ]

    async def stop(self) -> None:
        """Drain the callers, ship the last records, return the leases."""
        await self.server.drain(self.settings.drain_s)
        for task in self._tasks:
            task.cancel()
        await self.journal.stop()
        await self.shipper.stop(within_s=_SHIP_OUT_S)
        await self.link.stop()
        await self.client.close()


async def _gateway(settings: Settings, index: str, inherited: Inherited) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    gateway = Gateway(settings, f"gateway-{index}", SystemClock())
    await gateway.start()
    tls = _tls(settings)
    for sock in inherited.sockets():
        await gateway.server.serve(sock, tls=tls)
    ready = loop.create_task(_tell_ready(gateway, inherited, f"gateway {index}"))
    orphaned = loop.create_task(inherited.until_orphaned())
    orphaned.add_done_callback(lambda _: stopping.set())
    gc.collect()
    gc.freeze()  # what is there now stays; only what requests make is looked through,
    gc.set_threshold(_GC_YOUNG, 20, 50)  # and not each few requests: little of it is in cycles
    await stopping.wait()
    for task in (ready, orphaned):
        task.cancel()
    await gateway.stop()


async def _tell_ready(gateway: Gateway, inherited: Inherited, name: str) -> None:
    while not gateway.link.ready:  # noqa: ASYNC110 - it has no event for it, and this happens once
        await asyncio.sleep(0.01)
    inherited.tell_ready(name)


def _limits(settings: Settings) -> Limits:
    return Limits(
        header_bytes_max=settings.header_bytes_max,
        header_count_max=settings.header_count_max,
        body_bytes_max=settings.body_bytes_max,
    )


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(
        connect_s=settings.connect_timeout_s,
        first_byte_s=settings.first_byte_timeout_s,
        idle_s=settings.idle_timeout_s,
        total_s=settings.total_timeout_s,
    )


def _server_settings(settings: Settings) -> ServerSettings:
    return ServerSettings(
        connections_max=settings.connections_max,
        in_flight_max=settings.in_flight_max,
        body_memory_max=settings.body_memory_max,
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        keepalive_s=settings.keepalive_s,
        write_stall_s=settings.write_stall_s,
        trusted_proxies=settings.trusted_proxies,
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


def main(argv: list[str]) -> int:
    """Run one process of the station; the exit status."""
    try:
        settings = load()
    except BadSetting as error:
        print(f"yizhan: {error}", file=sys.stderr)  # noqa: T201 - the edge
        return 1
    set_up_logs(settings.log_level)
    role, rest = argv[0], argv[1:]
    if role == "gateway":
        uvloop.run(_gateway(settings, rest[0], Inherited.parse(rest[1:])))
        return 0
    # A gateway never loads the control plane, and what prepares it needs no web framework.
    if role == "prepare":
        from yizhan.app_prepare import prepare  # noqa: PLC0415

        prepared = prepare(settings, demo_url=dict(pairwise(rest)).get("--demo", ""))
        print(msgspec.json.encode(prepared).decode(), flush=True)  # noqa: T201 - the supervisor reads it
        return 1 if prepared.error else 0
    from yizhan import app_control  # noqa: PLC0415

    os.nice(_CONTROL_NICE)
    app_control.run_control(settings, Inherited.parse(rest))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
