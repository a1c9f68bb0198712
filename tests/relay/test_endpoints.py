"""Keys, models, errors, browsers: what the public port says besides answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.relay.doorway import KEY, RawCaller, asked, issue, relayed
from yizhan.vendors.pretending.script import Orders

BAD = "sk-" + "b" * 48


@pytest.mark.parametrize(
    "place",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"authorization": KEY},
        {"x-api-key": KEY},
        {"x-goog-api-key": KEY},
    ],
)
async def test_a_key_is_found_wherever_clients_put_it(tmp_path: Path, place: dict[str, str]) -> None:
    async with relayed(tmp_path) as (door, _):
        door.http.headers.pop("authorization")
        assert (await door.http.get("/v1/models", headers=place)).status_code == 200
        assert (await door.http.get(f"/v1/models?x=1&key={KEY}")).status_code == 200


async def test_each_thing_that_is_wrong_with_a_key_has_its_own_error(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        issue(door, "sk-off", status="disabled", wallet_id=1)
        issue(door, "sk-old", expires_at_ms=1)
        issue(door, "sk-spent", status="exhausted")
        issue(door, "sk-other", group="other")
        issue(door, "sk-lost", group="gone")
        issue(door, "sk-few", models=("free",))
        expected = {
            BAD: (401, "invalid_api_key"),
            "x" * 300: (401, "missing_api_key"),
            "sk-off": (401, "api_key_disabled"),
            "sk-old": (401, "api_key_expired"),
            "sk-spent": (402, "api_key_exhausted"),
            "sk-other": (403, "model_not_allowed"),
            "sk-lost": (403, "model_not_allowed"),
            "sk-few": (403, "model_not_allowed"),
        }
        for key, (status, code) in expected.items():
            answer = await door.chat(key=key)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), key
            assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
        keyless = await door.http.post("/v1/chat/completions", json=asked(), headers={"authorization": ""})
        assert keyless.json()["error"]["code"] == "missing_api_key"
        assert door.records() == []


async def test_a_key_that_cannot_be_checked_is_not_called_wrong(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        assert (await door.chat()).status_code == 200
        door.office.connected = False
        unknown = await door.chat(key=BAD)
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (503, "accounts_unavailable")
        assert (await door.chat()).status_code in (200, 503)  # known; its lease may cover it


async def test_too_little_money_says_how_much_is_short(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, servers):
        door.office.balance = 5
        answer = await door.chat(max_tokens=1000)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (402, "insufficient_quota")
        assert "0.00" in error["message"]
        assert answer.headers["x-should-retry"] == "false"
        assert servers[0].count.total.started == 0


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "nope"}, 404, "model_not_found"),
        ({"model": "dear"}, 503, "model_not_priced"),
        ({"n": 0}, 400, "invalid_request"),
        ({"service_tier": "priority"}, 400, "unsupported_field"),
        ({"Max_Tokens": 1}, 400, "ambiguous_field"),
        ({"modalities": ["audio"]}, 400, "unsupported_field"),
    ],
)
async def test_a_request_that_cannot_be_served_says_why(
    tmp_path: Path, fields: dict[str, Any], status: int, code: str
) -> None:
    async with relayed(tmp_path) as (door, _):
        answer = await door.chat(**fields)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert door.records() == []


async def test_a_free_model_needs_no_money(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        door.office.balance = 0
        answer = await door.chat(model="free")
        assert answer.status_code == 200
        assert (await door.closed())[0].charge == 0


async def test_broken_bodies_are_named(tmp_path: Path) -> None:
    async with relayed(tmp_path, body_bytes_max=4000) as (door, _):
        for content, status, code in (
            (b"{", 400, "invalid_json"),
            (b"", 400, "invalid_json"),
            (b"x" * 5000, 413, "body_too_large"),
        ):
            answer = await door.http.post("/v1/chat/completions", content=content)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        squeezed = {"content-encoding": "br"}
        answer = await door.http.post("/v1/chat/completions", content=b"{}", headers=squeezed)
        assert answer.json()["error"]["code"] == "unsupported_content_encoding"


async def test_compressed_requests_are_read(tmp_path: Path) -> None:
    import gzip

    async with relayed(tmp_path) as (door, _):
        body = gzip.compress(json.dumps(asked()).encode())
        answer = await door.http.post("/v1/chat/completions", content=body, headers={"content-encoding": "gzip"})
        assert answer.status_code == 200


async def test_models_are_listed_and_shown(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        listed = (await door.http.get("/v1/models")).json()
        assert [card["id"] for card in listed["data"]] == ["dear", "free", "m"]
        assert (await door.http.get("/v1/models/m")).json() == {
            "id": "m",
            "object": "model",
            "created": 5,
            "owned_by": "us",
        }
        assert (await door.http.get("/v1/models/free")).json()["owned_by"] == "yizhan"
        missing = await door.http.get("/v1/models/nope")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
        issue(door, "sk-few", models=("free",))
        few = await door.http.get("/v1/models", headers={"authorization": "Bearer sk-few"})
        assert [card["id"] for card in few.json()["data"]] == ["free"]


async def test_unknown_routes_and_wrong_methods_are_told_apart(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        missing = await door.http.post("/v1/nothing")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "route_not_found")
        wrong = await door.http.delete("/v1/models")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
        assert (await door.http.head("/v1/models")).status_code == 200
        console = await door.http.get("/")
        assert (console.status_code, console.json()["error"]["code"]) == (503, "station_overloaded")


async def test_health_and_readiness(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        assert (await door.http.get("/healthz")).status_code == 200
        assert (await door.http.get("/readyz")).status_code == 200
        door.world.ready = False
        assert (await door.http.get("/readyz")).status_code == 503


async def test_browsers_may_call(tmp_path: Path) -> None:
    async with relayed(tmp_path) as (door, _):
        wish = {"access-control-request-headers": "authorization, x-mine", "origin": "http://elsewhere"}
        asked_first = await door.http.options("/v1/chat/completions", headers=wish)
        assert asked_first.status_code == 204
        assert asked_first.headers["access-control-allow-headers"] == "authorization, x-mine"
        answer = await door.chat()
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_what_goes_upstream_is_the_callers_bytes_with_our_key(tmp_path: Path) -> None:
    heard = asyncio.Queue[tuple[bytes, bytes]]()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        heard.put_nowait((head, await reader.readexactly(length)))
        body = b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1},"invented":1.50}'
        writer.write(
            b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nserver: secret\r\nopenai-organization: o\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )
        await writer.drain()
        writer.close()

    vendor = await asyncio.start_server(listen, "127.0.0.1", 0)
    from tests.relay.doorway import channel, gateway

    url = f"http://127.0.0.1:{vendor.sockets[0].getsockname()[1]}"
    async with vendor, gateway(tmp_path, channel(1, url)) as door:
        body = b'{"model": "m","messages":[ ],"invented":{"x":1.50},"seen":null}'
        headers = {"cookie": "mine", "x-forwarded-for": "1.2.3.4", "x-request-id": "theirs", "openai-beta": "b"}
        answer = await door.http.post("/v1/chat/completions?key=sk-leak", content=body, headers=headers)
        head, sent = await heard.get()
        assert sent == body.replace(b'"m"', b'"pretend"')
        assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
        assert b"Bearer up-key" in head
        assert b"openai-beta: b" in head
        for leaked in (b"sk-", b"cookie", b"1.2.3.4", b"theirs"):
            assert leaked not in head
        assert answer.content.endswith(b'"invented":1.50}')
        assert not {"set-cookie", "server", "openai-organization"} & set(answer.headers)
        assert door.opened[0].client_request_id == "theirs"


async def test_a_stream_whose_upstream_thinks_is_kept_open_and_may_still_fail_over(tmp_path: Path) -> None:
    async with relayed(tmp_path, upstreams=2, first_byte_heartbeat_s=0.05) as (door, servers):
        servers[0].script.obey(_orders("status=500 first_byte_ms=400"))
        caller = await RawCaller.call(door, "pretend: tokens=3", stream=True)
        async with asyncio.timeout(5):
            while not servers[1].count.total.started:
                await asyncio.sleep(0.02)
        text = await caller.reader.readuntil(b"[DONE]")
        assert text.startswith(b"HTTP/1.1 200")
        assert b": waiting" in text
        assert b'"error"' not in text
        assert (await door.closed())[0].attempts == 2
        await caller.leave()


async def test_an_error_behind_a_heartbeat_is_an_event(tmp_path: Path) -> None:
    async with relayed(tmp_path, first_byte_heartbeat_s=0.05) as (door, servers):
        for fault in ("status=500 first_byte_ms=300", "status=400 first_byte_ms=300"):
            servers[0].script.obey(_orders(fault))
            caller = await RawCaller.call(door, "hi", stream=True)
            async with asyncio.timeout(5):
                while not servers[0].count.total.started or door.ports.exchanges:
                    await asyncio.sleep(0.02)
            text = await caller.reader.readuntil(b"0\r\n\r\n")
            assert text.count(b'data: {"error"') == 1
            await caller.leave()
            servers[0].count.reset()


def _orders(options: str) -> Orders:
    return msgspec.convert({"queue": [options]}, Orders)
