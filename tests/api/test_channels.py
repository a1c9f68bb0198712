from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select
from tests.api.conftest import Desk

from yizhan.store import catalog, changes
from yizhan.store.tables import audit

KEY = "sk-upstream-secret-7777"
GOOD: dict[str, Any] = {
    "name": "first",
    "vendor": "openai-compatible",
    "base_url": "http://127.0.0.1:9/v1",
    "keys": [KEY],
    "models": ["a", "b"],
}


@contextmanager
def _upstream(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Run a little upstream that answers every POST as it is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _say(status: int, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_channel_reaches_the_catalog_with_its_key(desk: Desk) -> None:
    added = desk.done("POST", "/channels", GOOD)
    with desk.database.read() as connection:
        snapshot = catalog.snapshot(connection, desk.seal.unseal)
    channel = snapshot.channels[added["id"]]
    assert channel.keys == (KEY,)
    assert channel.models == {"a": "a", "b": "b"}
    assert channel.enabled


def test_a_channels_key_never_comes_back_out(desk: Desk) -> None:
    texts = [desk.ask("POST", "/channels", GOOD).text, desk.ask("GET", "/channels").text]
    texts += [desk.ask("GET", "/channels/first").text, desk.ask("PATCH", "/channels/first", {"priority": 3}).text]
    texts += [desk.ask("PATCH", "/channels/first", {"keys": [KEY + "x"]}).text, desk.ask("DELETE", "/channels/1").text]
    with desk.database.read() as connection:
        texts.append(str(connection.execute(select(audit.c.detail)).scalars().all()))
    assert [text for text in texts if "upstream-secret" in text] == []
    assert '"key_tails":["7777"]' in texts[0]
    assert b"upstream-secret" not in (desk.settings.home_path / "yizhan.db").read_bytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vendor", "nobody"),
        ("base_url", "ftp://host/v1"),
        ("base_url", "no url"),
        ("base_url", "http://"),
        ("base_url", "http://host:0/v1"),
        ("base_url", "http://host:99999/v1"),
        ("base_url", "http://user:pass@host/v1"),
        ("base_url", "http://host/v1?key=1"),
        ("keys", ["with blank "]),
        ("keys", ["line\nbreak"]),
        ("models", []),
        ("models", {"a": ""}),
        ("groups", []),
        ("name", "7"),
        ("name", ""),
        ("weight", 0),
        ("proxy", "ftp://host"),
        ("colour", "red"),
    ],
)
def test_a_channel_is_checked_when_it_is_saved(desk: Desk, field: str, value: object) -> None:
    added = desk.ask("POST", "/channels", GOOD | {field: value})
    assert added.status_code == 400, added.text
    desk.done("POST", "/channels", GOOD)
    assert desk.ask("PATCH", "/channels/first", {field: value}).status_code == 400


def test_a_channel_is_found_by_name_or_id(desk: Desk) -> None:
    added = desk.done("POST", "/channels", GOOD)
    assert desk.done("GET", "/channels/first") == desk.done("GET", f"/channels/{added['id']}") == added
    assert desk.ask("GET", "/channels/99").status_code == 404
    assert desk.ask("POST", "/channels", GOOD).status_code == 409


def test_what_is_not_given_stays(desk: Desk) -> None:
    before = desk.done("POST", "/channels", GOOD)
    after = desk.done("PATCH", "/channels/first", {"enabled": False})
    assert after == before | {"enabled": False}


def test_every_change_of_a_channel_is_announced(desk: Desk) -> None:
    desk.done("POST", "/channels", GOOD)
    desk.done("PATCH", "/channels/first", {"enabled": False})
    desk.done("DELETE", "/channels/first")
    with desk.database.read() as connection:
        rows = changes.since(connection, 0)
        assert [(row.kind, row.key) for row in rows or ()] == [("channel", "1")] * 3
        assert catalog.snapshot(connection, desk.seal.unseal).channels == {}
    assert len(desk.nudges) == 3


def test_a_channel_that_answers_passes_its_test(desk: Desk) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(f"{handler.path} {handler.headers['authorization']}")
        _say(200, b'{"choices":[{"message":{"content":"p"}}]}')(handler)

    with _upstream(answer) as url:
        desk.done("POST", "/channels", GOOD | {"base_url": url})
        tried = desk.done("POST", "/channels/first/test")
    assert asked == [f"/v1/chat/completions Bearer {KEY}"]
    assert (tried["ok"], tried["http_status"], tried["model"]) == (True, 200, "a")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b'{"error":{"message":"bad key"}}', "HTTP 401: bad key"),
        (500, b"<html>", "HTTP 500"),
        (200, b"<html>", "200, but not a chat completion."),
        (200, b'{"choices":[]}', "200, but not a chat completion."),
    ],
)
def test_a_channel_that_answers_badly_fails_its_test(desk: Desk, status: int, body: bytes, said: str) -> None:
    with _upstream(_say(status, body)) as url:
        desk.done("POST", "/channels", GOOD | {"base_url": url})
        tried = desk.done("POST", "/channels/first/test")
    assert (tried["ok"], tried["http_status"], tried["message"]) == (False, status, said)


def test_a_channel_to_nowhere_fails_its_test(desk: Desk) -> None:
    async def free_port() -> int:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()
        return port

    desk.done("POST", "/channels", GOOD | {"base_url": f"http://127.0.0.1:{asyncio.run(free_port())}"})
    tried = desk.done("POST", "/channels/first/test?model=b")
    assert (tried["ok"], tried["http_status"], tried["model"]) == (False, None, "b")
    assert "ConnectError" in tried["message"]
    assert desk.ask("POST", "/channels/first/test?model=zzz").status_code == 400
