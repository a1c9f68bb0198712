from __future__ import annotations

import asyncio
import getpass
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import h11
import pytest
from aiohttp import web
from tests.http1.client_scene import calling, get, run, serving

from yizhan.http1.client import Client, Origin

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
CONFIG = """
user {user};
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 1m;
    keepalive_requests 3;
    gzip on;
    gzip_types text/plain;
    gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/www;
        location = /short {{ return 200 "short answer"; }}
        location = /none {{ return 204; }}
        location = /gone {{ return 444; }}
        location = /store {{ proxy_pass http://127.0.0.1:{port}/short; }}
    }}
}}
"""


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Origin, bytes]]:
    """A running nginx, and the bytes of its /big file."""
    if not Path(NGINX).exists():
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "www").mkdir()
    big = os.urandom(3_000_000)
    (folder / "www" / "big").write_bytes(big)
    (folder / "www" / "text.txt").write_bytes(b"words " * 1000)
    (folder / "conf").write_text(CONFIG.format(folder=folder, port=port, user=getpass.getuser()))
    process = subprocess.Popen([NGINX, "-c", str(folder / "conf"), "-e", str(folder / "error.log")])
    try:
        deadline = time.monotonic() + 10
        while not _listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield Origin("http", "127.0.0.1", port), big
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


async def _fetch(client: Client, origin: Origin, target: bytes, **options: object) -> tuple[int, bytes]:
    answer = await get(client, origin, **({"method": b"GET", "target": target, "body": b""} | options))
    return answer.status, await answer.read(10_000_000)


def test_nginx_answers_short_long_empty_and_missing_pages(nginx: tuple[Origin, bytes]) -> None:
    async def story() -> None:
        origin, big = nginx
        async with calling() as client:
            for _ in range(8):  # nginx closes a connection after three requests
                assert await _fetch(client, origin, b"/short") == (200, b"short answer")
                assert (await _fetch(client, origin, b"/missing"))[0] == 404
                assert await _fetch(client, origin, b"/none") == (204, b"")
                assert await _fetch(client, origin, b"/big", method=b"HEAD") == (200, b"")
                assert await _fetch(client, origin, b"/big") == (200, big)
            assert client.connections <= 1

    run(story())


def test_nginx_refuses_a_large_upload_early(nginx: tuple[Origin, bytes]) -> None:
    async def story() -> None:
        async with calling() as client:
            body = b"x" * 20_000_000
            assert (await _fetch(client, nginx[0], b"/store", method=b"POST", body=body))[0] == 413
            fine = b"x" * 900_000
            assert await _fetch(client, nginx[0], b"/store", method=b"POST", body=fine) == (200, b"short answer")

    run(story())


def test_nginx_takes_an_upload_in_chunks(nginx: tuple[Origin, bytes]) -> None:
    async def story() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b"x" * 5000

        async with calling() as client:
            status = await _fetch(client, nginx[0], b"/store", method=b"POST", body=pieces())
            assert status == (200, b"short answer")

    run(story())


def test_an_answer_nginx_compresses_comes_out_plain(nginx: tuple[Origin, bytes]) -> None:
    async def story() -> None:
        async with calling() as client:
            headers = [(b"accept-encoding", b"gzip")]
            answer = await get(client, nginx[0], method=b"GET", target=b"/text.txt", headers=headers, body=b"")
            assert b"content-encoding" not in dict(answer.headers)
            assert await answer.read(10_000) == b"words " * 1000
            assert client.idle == 1

    run(story())


def test_many_requests_at_once_get_each_their_own_answer() -> None:
    async def story() -> None:
        async def echo(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            digest = hashlib.sha256(body).hexdigest().encode()
            if len(body) % 2:
                return web.Response(body=digest)
            stream = web.StreamResponse()
            await stream.prepare(request)
            for at in range(0, len(digest), 10):
                await stream.write(digest[at : at + 10])
            await stream.write_eof()
            return stream

        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/x", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        origin = Origin("http", "127.0.0.1", runner.addresses[0][1])
        async with calling(origin_max=8) as client:

            async def ask(size: int) -> None:
                body = bytes([size % 251]) * size
                answer = await get(client, origin, body=body)
                assert await answer.read(100) == hashlib.sha256(body).hexdigest().encode()

            await asyncio.gather(*(ask(size * 997) for size in range(200)))
            assert client.connections <= 8
        await runner.cleanup()

    run(story())


def test_h11_finds_nothing_to_object_to() -> None:
    async def story() -> None:
        events: list[str] = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            judge = h11.Connection(h11.SERVER)
            body = b""
            while True:
                event = judge.next_event()
                if event is h11.NEED_DATA:
                    judge.receive_data(await reader.read(1000))
                    continue
                events.append(type(event).__name__ if not isinstance(event, type) else event.__name__)
                if isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    writer.write(judge.send(h11.InformationalResponse(status_code=103, headers=[])) or b"")
                    writer.write(judge.send(h11.Response(status_code=200, headers=[])) or b"")
                    for at in range(0, len(body), 100):
                        writer.write(judge.send(h11.Data(data=body[at : at + 100])) or b"")
                    writer.write(judge.send(h11.EndOfMessage(headers=[("x-sum", "1")])) or b"")
                    judge.start_next_cycle()
                    body = b""
                elif isinstance(event, h11.ConnectionClosed):
                    return

        async def pieces() -> AsyncIterator[bytes]:
            yield b"a" * 400
            yield b"b" * 400

        async with serving(script) as origin, calling() as client:
            assert await (await get(client, origin, body=b"z" * 1234)).read(2000) == b"z" * 1234
            assert await (await get(client, origin, body=pieces())).read(2000) == b"a" * 400 + b"b" * 400
            assert await (await get(client, origin, method=b"GET", body=b"")).read(2000) == b""
            assert client.connections == 1
        assert events.count("Request") == 3

    run(story())
