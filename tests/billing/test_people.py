"""What the back office shows of people's money, on both databases."""

import msgspec

from yizhan.accounts import queries, service
from yizhan.store.engine import Database


def test_a_users_money_is_shown_in_whole_numbers(database: Database) -> None:
    with database.write() as c:
        queries.add_user(c, name="bob", role="user", password_hash=None, group="default", now_ms=1)
    with database.read() as c:
        shown = service.show(c, "bob")
    said = msgspec.json.decode(msgspec.json.encode(shown))
    amounts = [said[f"{name}_nano_usd"] for name in ("balance", "available", "leased")]
    assert amounts == [0, 0, 0]
