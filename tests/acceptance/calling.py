"""A caller on a bare socket, who tells exactly what came back: status, headers, every event, and how it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec

DONE = "[DONE]"


class Heard(msgspec.Struct, kw_only=True):
    """What a caller heard of one request."""

    status: int = 0  # 0: nothing
    headers: dict[str, str] = {}
    body: bytes = b""  # without its chunked framing
    events: list[str] = []  # data of a stream's events
    whole: bool = False  # the body ended as HTTP says it must
    error: str = ""

    @property
    def done(self) -> bool:
        """The terminal bytes of a stream were seen."""
        return DONE in self.events

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error answer."""
        return str(self.json()["error"]["code"])

    def chunks(self) -> list[Any]:
        """The stream's events but for the last marker."""
        return [json.loads(event) for event in self.events if event != DONE]

    def text(self) -> str:
        """All words of a stream."""
        deltas = [choice["delta"] for chunk in self.chunks() for choice in chunk.get("choices", [])]
        return "".join(delta.get("content") or "" for delta in deltas)


def chat(model: str, text: str = "Hello", **fields: Any) -> bytes:
    """Make the body of a chat."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **fields}).encode()


async def call(
    port: int,
    key: str,
    body: bytes,
    *,
    marker: str = "",
    seconds: float = 30.0,
    leave: Callable[[Heard], bool] | None = None,
    sent: Callable[[], None] | None = None,
) -> Heard:
    """Send one chat on a connection of its own; leave early as soon as ``leave`` says so. Never raises for the network."""
    heard = Heard(headers={}, events=[])
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_request(key, body, marker))
                await writer.drain()
                if sent is not None:
                    sent()
                await _listen(reader, heard, leave)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
        heard.error = f"{type(error).__name__}: {error}"
    return heard


def _request(key: str, body: bytes, marker: str) -> bytes:
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: station.test",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if marker:
        lines.append(f"X-Request-Id: {marker}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _listen(reader: asyncio.StreamReader, heard: Heard, leave: Callable[[Heard], bool] | None) -> None:
    if leave is not None and leave(heard):
        return
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    heard.status = int(head[0].split(" ")[1])
    for line in head[1:]:
        name, mark, value = line.partition(":")
        if mark:
            heard.headers[name.lower()] = value.strip()
    rest = b""
    async for piece in _pieces(reader, heard):
        heard.body += piece
        *events, rest = (rest + piece).split(b"\n\n")
        heard.events += [event[6:].decode() for event in events if event.startswith(b"data: ")]
        if leave is not None and leave(heard):
            return
    heard.whole = True


async def _pieces(reader: asyncio.StreamReader, heard: Heard) -> Any:
    if heard.headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return
    yield await reader.readexactly(int(heard.headers["content-length"]))
