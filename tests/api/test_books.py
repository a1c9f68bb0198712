from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, update
from tests.api.conftest import Desk

from yizhan.store import changes
from yizhan.store.tables import usage, wallets


def _row(request_id: str, *, at_ms: int, user_id: int = 1, **more: Any) -> dict[str, Any]:
    row = {
        "request_id": request_id,
        "at_ms": at_ms,
        "wallet_id": user_id,
        "user_id": user_id,
        "key_id": 1,
        "model": "m",
        "operation": "chat",
        "stream": False,
        "status": "ok",
        "estimated": False,
        "over_hold": False,
        "price_version": 1,
        "multiplier_ppm": 1_000_000,
        "input_tokens": 3,
        "cached_input_tokens": 4,
        "output_tokens": 5,
        "reasoning_tokens": 6,
        "charge": 7,
    }
    return row | more


def _book(desk: Desk, *rows: dict[str, Any]) -> None:
    with desk.database.write() as connection:
        for row in rows:
            connection.execute(insert(usage).values(row))


def test_a_topup_moves_the_balance_and_tells_the_gateways(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    posted = desk.done("POST", "/topups", {"user": "alice", "usd": "0.25"})
    assert (posted["amount_nano_usd"], posted["balance_nano_usd"]) == (250_000_000, 250_000_000)
    assert desk.done("GET", "/users/alice")["balance_nano_usd"] == 250_000_000
    with desk.database.read() as connection:
        assert [row.kind for row in changes.since(connection, 0) or ()] == ["wallet"]


def test_a_reference_is_posted_once(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    body = {"user": "alice", "usd": "5", "reference": "invoice-1"}
    first, again = desk.done("POST", "/topups", body), desk.done("POST", "/topups", body)
    assert first == again
    assert desk.ask("POST", "/topups", body | {"usd": "6"}).status_code == 409
    assert desk.done("GET", "/users/alice")["balance_nano_usd"] == 5_000_000_000
    assert len(desk.done("GET", "/topups")["data"]) == 1


@pytest.mark.parametrize("usd", ["0", "-1", "five", "0.0000000001", "1e20", "NaN", ""])
def test_an_amount_that_is_none_is_refused(desk: Desk, usd: str) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    answer = desk.ask("POST", "/topups", {"user": "alice", "usd": usd})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "usd")


def test_users_see_their_own_topups_and_usage_only(desk: Desk) -> None:
    alice = desk.person("alice")
    desk.done("POST", "/users", {"name": "bob"})
    for name in ("alice", "bob"):
        desk.done("POST", "/topups", {"user": name, "usd": "1"})
    now = desk.clock.now_ms()
    _book(desk, _row("req_a", at_ms=now, user_id=1), _row("req_b", at_ms=now, user_id=2))
    for query in ("", "?user=bob"):
        assert [row["user"] for row in desk.done("GET", f"/topups{query}", token=alice)["data"]] == ["alice"]
        assert [row["request_id"] for row in desk.done("GET", f"/usage{query}", token=alice)["data"]] == ["req_a"]
    assert len(desk.done("GET", "/usage")["data"]) == 2
    assert [row["request_id"] for row in desk.done("GET", "/usage?user=bob")["data"]] == ["req_b"]
    assert desk.done("GET", "/usage?user=nobody")["data"] == []


def test_a_usage_row_has_what_a_bill_needs(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    channel = {"name": "c", "vendor": "openai", "base_url": "http://h/v1", "keys": ["k"], "models": ["m"]}
    desk.done("POST", "/channels", channel)
    _book(desk, _row("req_a", at_ms=1_700_000_000_123, channel_id=1))
    (row,) = desk.done("GET", "/usage")["data"]
    assert row["at"] == "2023-11-14T22:13:20.123Z"
    assert (row["user"], row["channel"], row["model"]) == ("alice", "c", "m")
    assert (row["input_tokens"], row["output_tokens"], row["charge_nano_usd"]) == (7, 11, 7)
    assert row["tokens"] == {"input": 3, "cached_input": 4, "output": 5, "reasoning": 6}
    assert (row["status"], row["first_byte_ms"]) == ("ok", None)


def test_usage_comes_newest_first_in_pages_also_within_one_millisecond(desk: Desk) -> None:
    now = desk.clock.now_ms()
    _book(desk, *[_row(f"req_{n}", at_ms=now - n // 2) for n in range(5)])
    seen: list[str] = []
    query = ""
    while True:
        page = desk.done("GET", f"/usage?limit=2{query}")
        seen += [row["request_id"] for row in page["data"]]
        if page["next"] is None:
            break
        query = f"&before={page['next']}"
    assert seen == ["req_1", "req_0", "req_3", "req_2", "req_4"]


def test_usage_is_asked_for_by_time(desk: Desk) -> None:
    now = desk.clock.now_ms()
    _book(desk, *[_row(f"req_{hours}h", at_ms=now - hours * 3_600_000) for hours in (0, 2, 30)])

    def found(query: str) -> list[str]:
        return [row["request_id"] for row in desk.done("GET", f"/usage?{query}")["data"]]

    assert found("since=1h") == ["req_0h"]
    assert found("since=1d") == ["req_0h", "req_2h"]
    assert found("until=1h") == ["req_2h", "req_30h"]
    assert found("since=2023-11-14T20:00:00Z") == ["req_0h", "req_2h"]
    assert found("since=2023-11-14") == ["req_0h", "req_2h"]
    for wrong in ("since=yesterday", "until=1x", "before=1", "before=x:y", "limit=0", "limit=9999"):
        assert desk.ask("GET", f"/usage?{wrong}").status_code == 400, wrong


def test_figures_count_the_station(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    desk.done("POST", "/topups", {"user": "alice", "usd": "5"})
    now = desk.clock.now_ms()
    _book(desk, _row("req_a", at_ms=now), _row("req_b", at_ms=now - 90_000_000))
    figures = desk.done("GET", "/figures")
    assert (figures["users"], figures["requests_today"], figures["charge_today_nano_usd"]) == (1, 1, 7)
    assert figures["balance_nano_usd"] == 5_000_000_000


def test_the_ledger_says_when_the_books_are_wrong(desk: Desk) -> None:
    desk.done("POST", "/users", {"name": "alice"})
    desk.done("POST", "/topups", {"user": "alice", "usd": "5"})
    assert desk.done("GET", "/ledger/verify")["ok"] is True
    with desk.database.write() as connection:
        connection.execute(update(wallets).values(balance=wallets.c.balance + 1))
    report = desk.done("GET", "/ledger/verify")
    assert report["ok"] is False
    assert report["reasons"] != []
