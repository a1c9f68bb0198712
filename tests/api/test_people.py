from __future__ import annotations

import pytest
from sqlalchemy import select
from tests.api.conftest import Desk

from yizhan.billing import leases
from yizhan.store import changes
from yizhan.store.tables import audit, keys, running


def test_a_new_user_has_an_empty_wallet(desk: Desk) -> None:
    added = desk.done("POST", "/users", {"name": "alice"})
    assert added == desk.done("GET", "/users/alice")
    assert (added["balance_nano_usd"], added["available_nano_usd"], added["role"]) == (0, 0, "user")


def test_a_name_is_taken_once(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    again = desk.ask("POST", "/users", {"name": "alice"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_exists")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 65, "operator", "阿丽", ".hidden", "a\n"])
def test_a_name_that_cannot_stand_in_a_path_is_refused(desk: Desk, name: str) -> None:
    answer = desk.ask("POST", "/users", {"name": name})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")


@pytest.mark.parametrize(
    "body",
    [{}, {"name": 5}, {"name": "a", "role": "king"}, {"name": "a", "nmae": "b"}, {"name": "a", "group": "no"}, []],
)
def test_a_body_that_is_not_understood_gets_a_4xx_in_our_shape(desk: Desk, body: object) -> None:
    answer = desk.ask("POST", "/users", body)
    assert answer.status_code in (400, 404)
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_body_that_is_no_json_gets_a_400_in_our_shape(desk: Desk) -> None:
    answer = desk.ask("POST", "/users", content=b"{nope", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_lists_come_in_pages(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        desk.done("POST", "/users", {"name": name})
    first = desk.done("GET", "/users?limit=2")
    rest = desk.done("GET", f"/users?limit=2&after={first['next']}")
    assert [user["name"] for user in first["data"] + rest["data"]] == ["a", "b", "c"]
    assert rest["next"] is None


def test_the_last_owner_stays(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "boss", "role": "owner"})
    assert desk.ask("PATCH", "/users/boss", {"role": "user"}).status_code == 400
    assert desk.ask("PATCH", "/users/boss", {"status": "disabled"}).status_code == 400
    desk.done("POST", "/users", {"name": "second", "role": "owner"})
    assert desk.done("PATCH", "/users/boss", {"role": "user"})["role"] == "user"


def test_what_running_requests_hold_is_not_available(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    desk.done("POST", "/topups", {"user": "alice", "usd": "5"})
    with desk.database.write() as connection:
        leases.open_journal(connection, journal="g-1", gateway="g", now_ms=0)
        connection.execute(
            running.insert().values(request_id="req_1", journal="g-1", wallet_id=1, hold=2_000_000_000, opened=b"")
        )
    shown = desk.done("GET", "/users/alice")
    assert (shown["balance_nano_usd"], shown["available_nano_usd"]) == (5_000_000_000, 3_000_000_000)


def test_a_key_is_shown_once_and_kept_only_as_a_hash(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    made = desk.done("POST", "/users/alice/keys", {"title": "laptop"})
    assert made["key"].startswith("sk-")
    assert made["key"][3:].isalnum()
    assert len(made["key"]) == 51
    listed = desk.ask("GET", "/users/alice/keys")
    assert made["key"] not in listed.text
    assert listed.json()["data"][0]["tail"] == made["key"][-4:]
    with desk.database.read() as connection:
        assert connection.execute(select(keys.c.key_hash)).scalar_one() == desk.seal.hash_key(made["key"])
    assert made["key"].encode() not in (desk.settings.home_path / "yizhan.db").read_bytes()


def test_keys_differ(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    assert len({desk.done("POST", "/users/alice/keys", {})["key"] for _ in range(20)}) == 20


def test_every_change_of_a_key_is_announced_and_rings_the_bell(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    made = desk.done("POST", "/users/alice/keys", {})
    key = desk.seal.hash_key(made["key"]).hex()
    for change in ({"status": "disabled"}, {"status": "enabled"}, {"models": ["a"]}, {"models": None}):
        with desk.database.read() as connection:
            before = changes.last_seq(connection)
        rung = len(desk.nudges)
        desk.done("PATCH", f"/keys/{made['id']}", change)
        with desk.database.read() as connection:
            new = changes.since(connection, before)
        assert [(row.kind, row.key) for row in new or ()] == [("key", key)]
        assert len(desk.nudges) == rung + 1


def test_disabling_a_user_announces_all_the_users_keys(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    made = {desk.seal.hash_key(desk.done("POST", "/users/alice/keys", {})["key"]).hex() for _ in range(3)}
    with desk.database.read() as connection:
        before = changes.last_seq(connection)
    desk.done("PATCH", "/users/alice", {"status": "disabled"})
    with desk.database.read() as connection:
        assert {row.key for row in changes.since(connection, before) or ()} == made


def test_every_write_is_audited_without_secrets(desk: Desk) -> None:
    admin = desk.person("root", "admin")
    desk.done("POST", "/users", {"name": "alice", "password": "correct horse"}, token=admin)
    made = desk.done("POST", "/users/alice/keys", {"title": "t"}, token=admin)
    desk.done("PATCH", "/users/alice", {"password": "another horse"}, token=admin)
    with desk.database.read() as connection:
        rows = [tuple(row) for row in connection.execute(select(audit.c.actor, audit.c.action, audit.c.target))]
        told = str(connection.execute(select(audit.c.detail)).scalars().all())
    assert rows[-3:] == [
        ("root", "user.add", "alice"),
        ("root", "key.add", f"alice/{made['key'][-4:]}"),
        ("root", "user.change", "alice"),
    ]
    assert made["key"] not in told
    assert "horse" not in told


def test_a_refused_write_leaves_no_trace(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    rung = len(desk.nudges)
    desk.ask("POST", "/users", {"name": "alice"})
    with desk.database.read() as connection:
        assert len(connection.execute(select(audit)).all()) == 1
    assert len(desk.nudges) == rung
