from __future__ import annotations

import re

import pytest
from litestar.handlers import HTTPRouteHandler
from tests.api.conftest import Desk

from yizhan.accounts.authentication import COOKIE
from yizhan.web.access import RANK


def _routes(desk: Desk) -> list[tuple[str, str, str]]:
    """List method, path and role of every route; parameters are filled with something that fits."""
    found = []
    for route in desk.client.app.routes:
        for handler in getattr(route, "route_handlers", []):
            if not isinstance(handler, HTTPRouteHandler):
                continue
            path = re.sub(r"\{\w+:int\}", "1", re.sub(r"\{\w+:(str|path)\}", "x", route.path_format or route.path))
            path = re.sub(r"\{\w+\}", "1", path)
            found += [
                (str(method), path, str(handler.opt.get("role")))
                for method in handler.http_methods
                if str(method) not in {"OPTIONS", "HEAD"}
            ]
    return found


def test_every_route_has_a_role(desk: Desk) -> None:
    routes = _routes(desk)
    assert len(routes) > 30
    assert [route for route in routes if route[2] not in RANK] == []


def test_what_is_public_is_a_short_list(desk: Desk) -> None:
    public = {path for _, path, role in _routes(desk) if role == "public"}
    assert public == {"/", "/admin/v1/login", "/docs/api", "/openapi.json", "/static/1"}


def test_a_users_token_gets_403_on_every_admin_route(desk: Desk) -> None:
    token = desk.person("alice")
    admin_routes = [(method, path) for method, path, role in _routes(desk) if role in {"admin", "owner"}]
    assert len(admin_routes) > 15
    got = {
        (method, path): desk.ask(method, path.removeprefix("/admin/v1"), {}, token=token)
        for method, path in admin_routes
    }
    assert {answer.status_code for answer in got.values()} == {403}, got
    assert {answer.json()["error"]["code"] for answer in got.values()} == {"not_permitted"}


def test_without_a_token_everything_that_is_not_public_gets_401(desk: Desk) -> None:
    closed = [(method, path) for method, path, role in _routes(desk) if role != "public"]
    got = {(method, path): desk.ask(method, path.removeprefix("/admin/v1"), {}, token="") for method, path in closed}
    assert {answer.status_code for answer in got.values()} == {401}, got


def test_a_wrong_token_is_nobody(desk: Desk) -> None:
    answer = desk.ask("GET", "/me", token="yo-wrong")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_signed_in"


def test_the_operators_token_is_an_owner(desk: Desk) -> None:
    assert desk.done("GET", "/me") == {"name": "operator", "role": "owner"}


def test_the_operators_token_is_readable_by_its_account_alone(desk: Desk) -> None:
    path = desk.settings.home_path / "secrets" / "operator.token"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/users/bob"), ("GET", "/users/bob/keys"), ("POST", "/users/bob/keys"), ("PATCH", "/keys/1")],
)
def test_what_belongs_to_others_looks_as_if_it_were_not_there(desk: Desk, method: str, path: str) -> None:
    alice = desk.person("alice")
    desk.done("POST", "/users", {"name": "bob"})
    desk.done("POST", "/users/bob/keys", {"title": "t"})
    there = desk.ask(method, path, {}, token=alice)
    missing = desk.ask(method, path.replace("bob", "nobody").replace("/1", "/99"), {}, token=alice)
    assert there.status_code == missing.status_code == 404
    assert there.json()["error"]["code"] == "not_found"


def test_a_user_sees_and_keys_himself(desk: Desk) -> None:
    alice = desk.person("alice")
    made = desk.done("POST", "/users/alice/keys", {"title": "mine"}, token=alice)
    desk.done("PATCH", f"/keys/{made['id']}", {"status": "disabled"}, token=alice)
    assert desk.done("GET", "/users/alice/keys", token=alice)["data"][0]["status"] == "disabled"
    assert desk.done("GET", "/users/alice", token=alice)["name"] == "alice"


def test_a_cookie_changes_things_only_with_its_csrf_token(desk: Desk) -> None:
    desk.person("alice")
    session = desk.ask("POST", "/login", {"name": "alice", "password": "correct horse"}, token="")
    cookie = session.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    sent = {"cookie": f"{COOKIE}={session.json()['token']}"}
    path = "/users/alice/keys"
    assert desk.ask("GET", path, token="", headers=sent).status_code == 200
    refused = desk.ask("POST", path, {"title": "t"}, token="", headers=sent)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf_token_missing")
    forged = sent | {"x-csrf-token": "0" * 64}
    assert desk.ask("POST", path, {"title": "t"}, token="", headers=forged).status_code == 403
    right = sent | {"x-csrf-token": session.json()["csrf"]}
    assert desk.ask("POST", path, {"title": "t"}, token="", headers=right).status_code == 201


def test_an_admin_does_not_make_admins_nor_change_owners(desk: Desk) -> None:
    admin = desk.person("root", "admin")
    desk.done("POST", "/users", {"name": "boss", "role": "owner"})
    desk.done("POST", "/users", {"name": "bob"})
    assert desk.ask("POST", "/users", {"name": "eve", "role": "admin"}, token=admin).status_code == 403
    assert desk.ask("PATCH", "/users/bob", {"role": "owner"}, token=admin).status_code == 403
    assert desk.ask("PATCH", "/users/boss", {"status": "disabled"}, token=admin).status_code == 403
    assert desk.ask("PATCH", "/users/boss", {"password": "taken over"}, token=admin).status_code == 403
    assert desk.ask("PATCH", "/users/bob", {"status": "disabled"}, token=admin).status_code == 200
