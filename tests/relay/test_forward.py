"""What is not relayed goes to the control plane's public socket, and nothing a caller says can reach further."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.relay.doorway import Doorway, gateway

ANSWER = b"HTTP/1.1 201 Created\r\nserver: inner\r\nset-cookie: session=1\r\ncontent-length: 5\r\n\r\nhello"


@asynccontextmanager
async def fronted(folder: Path) -> AsyncIterator[tuple[Doorway, asyncio.Queue[bytes]]]:
    """Open a gateway with something that listens where the control plane would."""
    heard = asyncio.Queue[bytes]()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"content-length: " in head:
                    head += await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
                heard.put_nowait(head)
                writer.write(ANSWER)
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    (folder / "run").mkdir()
    console = await asyncio.start_unix_server(listen, folder / "run" / "control.sock")
    async with gateway(folder) as door:
        yield door, heard
    console.close()


async def test_a_page_of_the_console_comes_through(tmp_path: Path) -> None:
    async with fronted(tmp_path) as (door, heard):
        answer = await door.http.put("/admin/v1/things?x=%2F..%2F", content=b"body", headers={"cookie": "session=1"})
        sent = await heard.get()
        assert sent.startswith(b"PUT /admin/v1/things?x=%2F..%2F HTTP/1.1\r\n")
        assert b"cookie: session=1" in sent
        assert sent.endswith(b"\r\n\r\nbody")
        assert (answer.status_code, answer.text, answer.headers["set-cookie"]) == (201, "hello", "session=1")
        assert "server" not in answer.headers
        assert answer.headers["x-request-id"].startswith("req_")


async def test_what_a_caller_says_of_itself_is_dropped(tmp_path: Path) -> None:
    lies = {
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil",
        "forwarded": "for=10.0.0.1",
        "x-real-ip": "10.0.0.1",
        "x-request-id": "theirs",
        "x-yizhan-user": "admin",
        "connection": "x-hop",
        "proxy-authorization": "p",
    }
    async with fronted(tmp_path) as (door, heard):
        await door.http.get("/", headers=lies)
        sent = await heard.get()
        for lie in (b"10.0.0.1", b"evil", b"theirs", b"x-yizhan-user", b"proxy-authorization", b"x-forwarded-proto"):
            assert lie not in sent
        assert b"x-forwarded-for: 127.0.0.1\r\n" in sent


async def test_no_spelling_of_a_path_is_anything_but_a_path(tmp_path: Path) -> None:
    targets = ["/../run/link.sock", "//link", "/%2e%2e/link.sock", "/./internal", "/admin/v1/%00", "/\\..\\link"]
    async with fronted(tmp_path) as (door, heard):
        for target in targets:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            answer = await reader.read()
            assert answer.split(b" ")[1] in {b"201", b"400"}
            writer.close()
            await writer.wait_closed()
        while not heard.empty():  # what did arrive, arrived as it was spelled, at the public socket
            assert heard.get_nowait().split(b" ")[1].decode() in targets


async def test_a_console_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    async with gateway(tmp_path) as door:
        answer = await door.http.get("/")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "station_overloaded")
        assert answer.headers["retry-after"] == "1"
