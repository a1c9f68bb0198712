"""Recognise who asks: the operator's token, a session's token, or the session cookie of a browser."""

from __future__ import annotations

import hmac
from typing import Any

from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from yizhan.accounts import queries
from yizhan.store.seal import Seal
from yizhan.web.access import Pass, Person
from yizhan.web.office import Office

COOKIE = "yizhan_session"
OPERATOR = Person(id=None, name="operator", role="owner")


def csrf_of(token: str, seal: Seal) -> str:
    """Derive a session's CSRF token; nothing of the session can be learnt from it."""
    return seal.hash_key("csrf:" + token).hex()


class Recognition(AbstractAuthenticationMiddleware):
    """Puts a Person and a Pass into the scope, or None; whether that is enough is the guard's business."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        office: Office = connection.app.state.office
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            token = token.strip()
            if hmac.compare_digest(token.encode(), office.operator_token.encode()):
                return AuthenticationResult(user=OPERATOR, auth=Pass(by="operator"))
            return AuthenticationResult(user=await _holder(office, token), auth=Pass(by="token", token=token))
        token = connection.cookies.get(COOKIE, "")
        if not token:
            return AuthenticationResult(user=None, auth=None)
        shown = Pass(by="cookie", token=token, csrf=csrf_of(token, office.seal))
        return AuthenticationResult(user=await _holder(office, token), auth=shown)


async def _holder(office: Office, token: str) -> Person | None:
    token_hash = office.seal.hash_key(token)
    now_ms = office.clock.now_ms()
    return await office.read(lambda c: queries.session_holder(c, token_hash=token_hash, now_ms=now_ms))
