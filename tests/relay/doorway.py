"""A gateway in this process: the real server, client, purse and journal; only the control plane is a small twin."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec

from yizhan.catalog.entries import Channel, Group, Model, Price
from yizhan.catalog.snapshot import EMPTY, Catalog
from yizhan.clock import SystemClock
from yizhan.config import Settings
from yizhan.errors import MoneyUnavailable
from yizhan.http1.client import Client, Timeouts
from yizhan.http1.message import Limits
from yizhan.http1.server import Server
from yizhan.ids import Ids
from yizhan.observe.figures import Figures
from yizhan.purse.frames import read_records
from yizhan.purse.journal import Journal
from yizhan.purse.keyring import KeyRing
from yizhan.purse.ports import KeyRecord
from yizhan.purse.purse import Purse
from yizhan.purse.records import Closed, Opened, Progressed, Record
from yizhan.relay.endpoints import answer
from yizhan.relay.ports import Ports
from yizhan.relay.ticking import tick_for_ever
from yizhan.vendors.pretending.server import PretendServer

KEY = "sk-" + "k" * 48
PRICE = Price(version=7, model="m", input=1_000_000_000, output=2_000_000_000)  # 1 and 2 USD a million tokens


class Loan(msgspec.Struct):
    wallet_id: int
    granted: int
    short: int = 0
    unsure: bool = False


class Found(msgspec.Struct):
    record: KeyRecord | None


@dataclass
class Office:
    """The control plane's twin: one wallet, the keys it was told of."""

    balance: int = 10**12
    records: dict[str, KeyRecord] = field(default_factory=dict)
    connected: bool = True
    pepper: bytes | None = b"p" * 32
    purse: Purse | None = None
    hashes: Callable[[bytes], bytes] | None = None
    known: dict[bytes, KeyRecord] = field(default_factory=dict)

    async def borrow(self, *, wallet_id: int, need: int, burn: int, granted: int, returned: int) -> Loan:
        if not self.connected:
            raise MoneyUnavailable("the control plane is away")
        if need > self.balance:
            return Loan(wallet_id, granted, short=need - self.balance)
        self.balance -= need
        loan = Loan(wallet_id, granted + need)
        assert self.purse is not None
        self.purse.lent(loan)
        return loan

    def give_back(self, *, wallet_id: int, returned: int) -> None:
        raise AssertionError("nothing sweeps here")

    async def open_key(self, key_hash: bytes, need: int) -> Found:
        if not self.connected:
            raise MoneyUnavailable("the control plane is away")
        return Found(self.known.get(key_hash))


@dataclass
class World:
    catalog: Catalog
    ready: bool = True


class Doorway:
    """What a test holds of a running gateway."""

    def __init__(self, ports: Ports, server: Server, office: Office, world: World, port: int) -> None:
        self.ports = ports
        self.server = server
        self.office = office
        self.world = world
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=self.url, headers={"authorization": f"Bearer {KEY}"}, timeout=10)

    async def chat(self, text: str = "hi", *, key: str = KEY, **fields: Any) -> httpx.Response:
        return await self.http.post(
            "/v1/chat/completions", json=asked(text, **fields), headers={"authorization": f"Bearer {key}"}
        )

    def records(self) -> list[Record]:
        """Read everything the journal holds."""
        written: list[Record] = []
        for segment in self.ports.journal.files:
            written += [record for record, _ in read_records(segment.path.read_bytes(), 16)]
        return written

    async def closed(self, count: int = 1) -> list[Closed]:
        """Wait until so many requests are settled."""
        async with asyncio.timeout(10):
            while len(found := [each for each in self.records() if isinstance(each, Closed)]) < count:
                await asyncio.sleep(0.01)
        return found

    @property
    def opened(self) -> list[Opened]:
        return [each for each in self.records() if isinstance(each, Opened)]

    @property
    def progressed(self) -> list[Progressed]:
        return [each for each in self.records() if isinstance(each, Progressed)]

    @property
    def account(self) -> Any:
        return self.ports.purse.account(1)


def asked(text: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 100, **fields}


def channel(number: int, url: str, **fields: Any) -> Channel:
    return Channel(
        id=number,
        name=f"c{number}",
        vendor="pretend",
        base_url=url,
        keys=("up-key",),
        **{"models": {"m": "pretend", "free": "pretend", "dear": "pretend"}, **fields},
    )


def catalog(*channels: Channel) -> Catalog:
    prices = [PRICE, Price(version=8, model="free", free=True)]
    return Catalog(
        msgspec.structs.replace(
            EMPTY,
            seq=1,
            channels={each.id: each for each in channels},
            models={"m": Model(name="m", owned_by="us", created_s=5, context_tokens=1000, output_tokens_max=500)},
            prices={price.model: price for price in prices},
            groups={"default": Group(name="default"), "other": Group(name="other")},
        )
    )


@asynccontextmanager
async def gateway(folder: Path, *channels: Channel, **changes: Any) -> AsyncIterator[Doorway]:
    """Open a gateway in front of these channels, with settings changed as wished."""
    settings = msgspec.structs.replace(Settings(home=str(folder)), **changes)
    clock, office, world = SystemClock(), Office(), World(catalog(*channels))
    ids = Ids(clock)
    journal = Journal.open(folder / "journal", ids.new("gw"), segment_bytes=1 << 20)
    journal.start(sync_s=0.2)
    purse = Purse(office, clock=clock)
    office.purse = purse
    keyring = KeyRing(office, clock=clock, keys_max=100, unknown_s=5)
    limits = Limits(body_bytes_max=settings.body_bytes_max)
    client = Client(limits=limits, pool_origin_max=100, pool_idle_max=20)
    ports = Ports(
        settings=settings,
        clock=clock,
        ids=ids,
        world=world,
        keyring=keyring,
        purse=purse,
        journal=journal,
        client=client,
        figures=Figures(),
        draw=Random(1).random,
        timeouts=Timeouts(
            connect_s=settings.connect_timeout_s,
            first_byte_s=settings.first_byte_timeout_s,
            idle_s=settings.idle_timeout_s,
            total_s=settings.total_timeout_s,
        ),
    )
    server = Server(partial(answer, ports), limits=limits)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    await server.serve(sock)
    door = Doorway(ports, server, office, world, sock.getsockname()[1])
    issue(door, KEY)
    ticking = asyncio.create_task(tick_for_ever(ports, every_s=0.02))
    try:
        yield door
    finally:
        ticking.cancel()
        await door.http.aclose()
        await server.drain(2)
        await client.close()
        await journal.stop()
        journal.release(delete=True)


def issue(door: Doorway, key: str, **fields: Any) -> None:
    """Have the control plane know a key."""
    from hashlib import blake2b

    assert door.office.pepper is not None
    key_hash = blake2b(key.encode(), key=door.office.pepper, digest_size=32).digest()
    door.office.known[key_hash] = KeyRecord(
        **{"key_hash": key_hash, "key_id": 3, "user_id": 2, "wallet_id": 1, **fields}
    )


@asynccontextmanager
async def relayed(
    folder: Path, *, upstreams: int = 1, **changes: Any
) -> AsyncIterator[tuple[Doorway, list[PretendServer]]]:
    """Open pretend vendors, the first with the highest priority, and a gateway in front of them."""
    servers = [PretendServer(port=0) for _ in range(upstreams)]
    for server in servers:
        await server.start()
    channels = [channel(n + 1, f"{server.url}/v1", priority=-n) for n, server in enumerate(servers)]
    try:
        async with gateway(folder, *channels, **changes) as door:
            yield door, servers
    finally:
        for server in servers:
            await server.stop()


class RawCaller:
    """A caller over a bare socket, who can leave when it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def call(cls, door: Doorway, text: str, **fields: Any) -> RawCaller:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        body = json.dumps(asked(text, **fields)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return cls(reader, writer)

    async def leave(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
