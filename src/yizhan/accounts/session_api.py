"""Signing in and out."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody

from yizhan.accounts import queries
from yizhan.accounts.authentication import COOKIE, csrf_of
from yizhan.accounts.password import LONGEST, GivenDoorkeeper
from yizhan.accounts.secret import new_session
from yizhan.errors import SignInFailed
from yizhan.web.access import PUBLIC, USER, Person
from yizhan.web.given import GivenOffice, GivenPerson
from yizhan.web.office import Office

SESSION_S = 7 * 24 * 3600


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name and password."""

    name: str
    password: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session begun. Send ``token`` as Bearer; or, with the cookie, ``csrf`` in ``X-CSRF-Token`` on changes."""

    token: str
    csrf: str
    name: str
    role: str
    expires_ms: int


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who you are to the station."""

    name: str
    role: str


class SessionController(Controller):
    """Sessions."""

    tags = ("sessions",)

    @post("/login", opt=PUBLIC, summary="Sign in", operation_id="login", status_code=200)
    async def login(
        self, data: JSONBody[SignIn], office: GivenOffice, doorkeeper: GivenDoorkeeper
    ) -> Response[Session]:
        """Begin a session of seven days. The answer carries it as a token and sets it as a cookie."""
        row = await office.read(lambda c: queries.who_signs_in(c, data.name))
        known = row.password_hash if row is not None else None
        fits = await doorkeeper.fits(data.name[:64], password=data.password[:LONGEST], password_hash=known)
        if row is None or not fits or row.status != "enabled":
            raise SignInFailed("Wrong name or password.")
        token = new_session(office.random)
        token_hash = office.seal.hash_key(token)
        now_ms = office.clock.now_ms()
        expires_ms = now_ms + SESSION_S * 1000
        await office.change(
            lambda c: queries.open_session(
                c, token_hash=token_hash, holder=row.id, now_ms=now_ms, expires_ms=expires_ms
            ),
            by=Person(id=row.id, name=row.name, role=row.role),
            action="session.open",
            target=row.name,
        )
        session = Session(
            token=token, csrf=csrf_of(token, office.seal), name=row.name, role=row.role, expires_ms=expires_ms
        )
        return Response(session, cookies=[_cookie(office, token, SESSION_S)])

    @post("/logout", opt=USER, summary="Sign out", operation_id="logout", status_code=200)
    async def logout(
        self, request: Request[Person, Any, Any], office: GivenOffice, person: GivenPerson
    ) -> Response[Me]:
        """End the session this request came with."""
        token_hash = office.seal.hash_key(request.auth.token)
        await office.change(
            lambda c: queries.close_session(c, token_hash=token_hash),
            by=person,
            action="session.close",
            target=person.name,
        )
        return Response(Me(name=person.name, role=person.role), cookies=[_cookie(office, "", 0)])

    @get("/me", opt=USER, summary="Who am I", operation_id="me")
    async def me(self, person: GivenPerson) -> Me:
        """Say whom the request was recognised as."""
        return Me(name=person.name, role=person.role)


def _cookie(office: Office, token: str, max_age: int) -> Cookie:
    secure = office.settings.public_url.startswith("https://") or bool(office.settings.tls_certificate)
    return Cookie(COOKIE, value=token, max_age=max_age, httponly=True, samesite="lax", secure=secure, path="/")
