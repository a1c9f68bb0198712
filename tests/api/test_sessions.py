from __future__ import annotations

from tests.api.conftest import Desk


def test_signing_out_ends_the_session(desk: Desk) -> None:
    token = desk.person("alice")
    assert desk.done("GET", "/me", token=token) == {"name": "alice", "role": "user"}
    desk.done("POST", "/logout", token=token)
    assert desk.ask("GET", "/me", token=token).status_code == 401


def test_a_session_ends_after_seven_days(desk: Desk) -> None:
    token = desk.person("alice")
    desk.clock.advance(7 * 24 * 3600 - 1)
    assert desk.ask("GET", "/me", token=token).status_code == 200
    desk.clock.advance(2)
    assert desk.ask("GET", "/me", token=token).status_code == 401


def test_disabling_a_user_ends_the_sessions_and_forbids_new_ones(desk: Desk) -> None:
    token = desk.person("alice")
    desk.done("PATCH", "/users/alice", {"status": "disabled"})
    assert desk.ask("GET", "/me", token=token).status_code == 401
    assert desk.ask("POST", "/login", {"name": "alice", "password": "correct horse"}, token="").status_code == 401


def test_a_wrong_password_an_unknown_name_and_a_user_without_password_look_the_same(desk: Desk) -> None:
    desk.person("alice")
    desk.done("POST", "/users", {"name": "bob"})
    tried = [("alice", "wrong"), ("nobody", "wrong"), ("bob", ""), ("bob", "the password of nobody")]
    got = [desk.ask("POST", "/login", {"name": name, "password": word}, token="") for name, word in tried]
    assert {answer.status_code for answer in got} == {401}
    assert len({answer.text for answer in got}) == 1


def test_ten_failures_close_the_door_for_that_name_only(desk: Desk) -> None:
    desk.person("alice")
    desk.person("bob")
    right = {"name": "alice", "password": "correct horse"}
    for _ in range(10):
        assert desk.ask("POST", "/login", {**right, "password": "wrong"}, token="").status_code == 401
    shut = desk.ask("POST", "/login", right, token="")
    assert (shut.status_code, shut.headers["retry-after"]) == (429, "900")
    assert desk.ask("POST", "/login", {**right, "name": "bob"}, token="").status_code == 200
    desk.clock.advance(901)
    assert desk.ask("POST", "/login", right, token="").status_code == 200


def test_a_new_password_takes_the_place_of_the_old(desk: Desk) -> None:
    token = desk.person("alice")
    desk.done("PATCH", "/users/alice", {"password": "another horse"})
    assert desk.ask("GET", "/me", token=token).status_code == 401
    assert desk.ask("POST", "/login", {"name": "alice", "password": "correct horse"}, token="").status_code == 401
    assert desk.ask("POST", "/login", {"name": "alice", "password": "another horse"}, token="").status_code == 200
