"""The rules about people: names, roles, who may change whom."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from yizhan.accounts import password, queries
from yizhan.errors import BadRequest, NotFound, NotPermitted
from yizhan.web.access import Person, Role

_NAME = re.compile(r"[\w][\w.@+-]{0,63}", re.ASCII)
RESERVED = frozenset({"operator"})  # the name under which the machine's own operator stands in the audit


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user and the user's money. ``available``: the balance without what running requests hold."""

    id: int
    name: str
    role: str
    status: str
    group: str
    balance_nano_usd: int
    available_nano_usd: int
    leased_nano_usd: int
    created_ms: int


def check_name(name: str) -> None:
    """Raise BadRequest unless the name can stand in a path, a log and a table."""
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise BadRequest("A name has up to 64 letters, digits and `. _ @ + -`, and is not reserved.", param="name")


def check_password(word: str | None) -> None:
    """Raise BadRequest for a password nobody should have."""
    if word is not None and not password.SHORTEST <= len(word) <= password.LONGEST:
        raise BadRequest(f"A password has {password.SHORTEST} to {password.LONGEST} characters.", param="password")


def check_rank(person: Person, *, role: Role) -> None:
    """Raise NotPermitted where an admin reaches for what only the owner gives: a role above user."""
    if role != "user" and not person.may("owner"):
        raise NotPermitted("Only an owner makes or changes admins and owners.")


def show(connection: Connection, name: str) -> UserView:
    """Show one user; raises NotFound."""
    found = list_views(connection, name=name)
    if not found:
        raise NotFound(f"There is no user {name!r}.", param="name")
    return found[0]


def list_views(connection: Connection, *, after: int = 0, limit: int = 1, name: str | None = None) -> list[UserView]:
    """Show users, oldest first."""
    rows = queries.list_users(connection, after=after, limit=limit, name=name)
    return [_view(row) for row in rows]


def change(connection: Connection, name: str, *, fields: dict[str, Any], by: Person, now_ms: int) -> UserView:
    """Change a user by the rules: rank, and that the last owner stays."""
    before = show(connection, name)
    check_rank(by, role=before.role)  # type: ignore[arg-type]  # what the table holds is a role
    queries.set_user(connection, name, fields=fields, now_ms=now_ms)
    if before.role == "owner" and queries.owners(connection) == 0:
        raise BadRequest("The last owner stays an owner, and enabled.")
    return show(connection, name)


def _view(row: Row[Any]) -> UserView:
    return UserView(
        id=row.id,
        name=row.name,
        role=row.role,
        status=row.status,
        group=row.price_group,
        balance_nano_usd=row.balance,
        available_nano_usd=row.balance - row.held,
        leased_nano_usd=row.leased,
        created_ms=row.created_ms,
    )
