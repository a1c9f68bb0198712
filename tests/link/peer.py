"""A gateway played by hand, frame by frame."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from tests.link.town import Town

from yizhan.link import messages as m
from yizhan.link.frames import frame, read_frame

A = TypeVar("A")
DECODER: msgspec.msgpack.Decoder[m.FromControl] = msgspec.msgpack.Decoder(m.FromControl)


class Peer:
    """One connection; ``heard`` skips what it was not asked for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, town: Town) -> Peer:
        if town.secret:
            return cls(*await asyncio.open_connection("127.0.0.1", town.server.port))
        return cls(*await asyncio.open_unix_connection(town.address.removeprefix("unix:"), limit=1 << 20))

    @classmethod
    async def hello(cls, town: Town, name: str, *, have_seq: int = 0) -> Peer:
        peer = await cls.connect(town)
        await peer.say(m.Hello(name, f"{name}-1", have_seq, town.secret))
        await peer.heard(m.Welcome)
        return peer

    async def say(self, message: m.FromGateway) -> None:
        self.writer.write(frame(message))
        await self.writer.drain()

    async def next(self) -> m.FromControl | None:
        async with asyncio.timeout(10):
            data = await read_frame(self.reader)
        return None if data is None else DECODER.decode(data)

    async def heard(self, kind: type[A]) -> A:
        while True:
            message = await self.next()
            assert message is not None, "the control plane hung up"
            if isinstance(message, kind):
                return message

    async def hung_up(self) -> bool:
        """Say whether the other side closes, after whatever it still had to say."""
        while await self.next() is not None:
            pass
        return True

    def close(self) -> None:
        self.writer.close()
