"""Who may do what in the back office: the one place where roles are checked.

Every route carries ``opt={"role": …}``; a route without one is refused to everybody, so that forgetting is safe.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from yizhan.errors import CsrfMissing, NotFound, NotPermitted, NotSignedIn

if TYPE_CHECKING:  # who knows people need not load the web framework: a start is quicker without
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

Role = Literal["user", "admin", "owner"]
RANK: dict[str, int] = {"public": 0, "user": 1, "admin": 2, "owner": 3}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

PUBLIC = {"role": "public"}
USER = {"role": "user"}
ADMIN = {"role": "admin"}


class Person(msgspec.Struct, frozen=True):
    """Who asks. ``id`` is None for the operator at the machine itself, who is no user and owns the station."""

    id: int | None
    name: str
    role: Role

    def may(self, role: str) -> bool:
        """Say whether this person's role reaches the one named."""
        return RANK[self.role] >= RANK[role]


class Pass(msgspec.Struct, frozen=True):
    """How the person was recognised. ``csrf`` is what a change must bring along when a cookie did it."""

    by: Literal["operator", "token", "cookie"]
    token: str = ""
    csrf: str = ""


def admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let the person through or raise; a Litestar guard over all routes."""
    wanted = handler.opt.get("role", "nobody")
    if wanted == "public":
        return
    person: Person | None = connection.scope.get("user")
    if person is None:
        raise NotSignedIn("Sign in, or send `Authorization: Bearer <operator or session token>`.")
    shown: Pass = connection.scope["auth"]
    if shown.by == "cookie" and connection.scope.get("method") not in SAFE_METHODS:
        given = connection.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(given.encode(), shown.csrf.encode()):
            raise CsrfMissing("Send the token of your session in the header `X-CSRF-Token`.")
    if wanted not in RANK or not person.may(wanted):
        raise NotPermitted("Your role does not permit this.")


def own_or_admin(person: Person, *, owner: str, what: str) -> None:
    """Hide what belongs to others from anyone below admin: they get the same answer as for what is not there."""
    if person.name != owner and not person.may("admin"):
        raise NotFound(f"There is no {what} of that name.")
