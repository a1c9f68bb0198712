"""Requests that could be understood in two ways are refused; compared with what nginx makes of them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.http1.server_corpus import ACCEPTED, SMUGGLING, WE_ARE_MILDER
from tests.http1.server_stage import echo, run, serving

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


@pytest.mark.parametrize("what", SMUGGLING)
def test_what_is_ambiguous_is_refused_and_the_connection_closed(what: str) -> None:
    async def story() -> None:
        async with serving() as stage:
            wire = await stage.call()
            # Were it not closed, the request behind would be answered with 200.
            wire.send(SMUGGLING[what] + b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await wire.answer()
            assert (answer.status, answer.headers[b"connection"]) == (400, b"close")
            assert msgspec.json.decode(answer.body)["error"]["type"] == "invalid_request_error"
            assert msgspec.json.decode(answer.body)["error"]["code"] == "bad_http"
            assert await wire.rest() == b""

    run(story())


@pytest.mark.parametrize("what", ACCEPTED)
def test_what_is_unusual_but_clear_is_read_as_exactly_one_request(what: str) -> None:
    async def story() -> None:
        async with serving() as stage:
            wire = await stage.call()
            wire.send(ACCEPTED[what] + b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = await wire.answer()
            assert answer.status == 200
            assert answer.body == (b"hello" if b"hello" in ACCEPTED[what] else b"")
            assert answer.headers[b"x-path"] == b"/"
            if b"HTTP/1.0" not in ACCEPTED[what]:
                assert (await wire.answer()).headers[b"x-path"] == b"/next"
            assert await wire.rest() == b""

    run(story())


@pytest.mark.parametrize(
    "head", [b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_a_tunnel_and_another_version_are_refused(head: bytes) -> None:
    async def story() -> None:
        async with serving() as stage:
            wire = await stage.call()
            wire.send(head)
            status = (await wire.answer()).status
            assert status == (405 if head.startswith(b"CONNECT") else 400)
            assert await wire.rest() == b""

    run(story())


def test_nothing_is_accepted_that_nginx_refuses(tmp_path: Path) -> None:
    """Also shows on which entries of the corpus nginx is milder; those are our choice and need no reason."""
    if not Path(NGINX).exists():
        pytest.skip("nginx is not installed")

    async def story() -> None:
        async with _nginx(tmp_path) as port, serving(echo) as stage:
            for what, data in (ACCEPTED | SMUGGLING).items():
                ours = await _status(stage.port, data)
                theirs = await _status(port, data)
                if ours < 400 <= theirs:
                    assert what in WE_ARE_MILDER, f"{what}: we say {ours}, nginx says {theirs}"
                else:
                    assert what not in WE_ARE_MILDER, f"{what}: nginx says {theirs}, no reason needed"

    run(story())


async def _status(port: int, data: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            line = await reader.readline()
    finally:
        writer.transport.abort()
    return int(line.split()[1]) if line.startswith(b"HTTP/1.") else 400  # closed without a word, or HTTP/0.9


@contextlib.asynccontextmanager
async def _nginx(folder: Path) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    settings.write_text(f"""
        daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
        events {{ worker_connections 64; }}
        http {{ access_log off; {temporary}
            server {{ listen 127.0.0.1:{port}; client_body_timeout 1s;
                location / {{ proxy_pass http://127.0.0.1:{port}/end; }}
                location /end {{ return 200 "ok"; }} }} }}
    """)
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(settings)], stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert process.poll() is None, (folder / "errors").read_text()
                    await asyncio.sleep(0.02)
                else:
                    writer.transport.abort()
                    break
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
