"""API keys over HTTP."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import Connection

from yizhan.accounts import keys
from yizhan.accounts.keys import KeyView
from yizhan.accounts.secret import new_key
from yizhan.errors import NotFound, NotPermitted
from yizhan.web.access import USER, own_or_admin
from yizhan.web.given import GivenOffice, GivenPerson
from yizhan.web.listing import Listing

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make. ``models`` None: all that the group is served. ``group`` None: the owner's."""

    title: Title = "key"
    group: str | None = None
    models: list[str] | None = None
    expires_ms: int | None = None


class KeyChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a key; what is absent stays."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    status: Annotated[str, msgspec.Meta(pattern="^(enabled|disabled)$")] | msgspec.UnsetType = msgspec.UNSET
    models: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    expires_ms: int | msgspec.UnsetType | None = msgspec.UNSET


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. ``key`` is the secret itself; it is shown this once."""

    id: int
    key: str
    user: str
    title: str


class KeyController(Controller):
    """The keys callers send."""

    tags = ("keys",)

    @post("/users/{name:str}/keys", opt=USER, summary="Make a key", operation_id="add_key")
    async def add(
        self, name: FromPath[str], data: JSONBody[NewKey], office: GivenOffice, person: GivenPerson
    ) -> MadeKey:
        """Make a key on a user's wallet. The answer holds the secret; nobody can show it again."""
        own_or_admin(person, owner=name, what="user")
        if data.group is not None and not person.may("admin"):
            raise NotPermitted("Only an admin gives a key a price group of its own.")
        secret = new_key(office.random)
        key_hash = office.seal.hash_key(secret)
        now_ms = office.clock.now_ms()
        added = await office.change(
            lambda c: keys.add_key(
                c,
                owner=name,
                title=data.title,
                key_hash=key_hash,
                tail=secret[-4:],
                group=data.group,
                models=data.models,
                expires_ms=data.expires_ms,
                now_ms=now_ms,
            ),
            by=person,
            action="key.add",
            target=f"{name}/{secret[-4:]}",
            detail={"title": data.title},
        )
        return MadeKey(id=added, key=secret, user=name, title=data.title)

    @get("/users/{name:str}/keys", opt=USER, summary="List a user's keys", operation_id="list_keys")
    async def list(self, name: FromPath[str], office: GivenOffice, person: GivenPerson) -> Listing[KeyView]:
        """List a user's keys, without their secrets."""
        own_or_admin(person, owner=name, what="user")
        return Listing(data=await office.read(lambda c: [keys.view(row) for row in keys.list_keys(c, owner=name)]))

    @patch("/keys/{key_id:int}", opt=USER, summary="Change a key", operation_id="change_key")
    async def change(
        self, key_id: FromPath[int], data: JSONBody[KeyChange], office: GivenOffice, person: GivenPerson
    ) -> KeyView:
        """Rename, disable, enable or limit a key; in force on every worker within a second."""
        fields = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET}
        now_ms = office.clock.now_ms()

        def change(connection: Connection) -> KeyView:
            row = keys.find_key(connection, key_id)
            if row.user != person.name and not person.may("admin"):
                raise NotFound(f"There is no key {key_id}.", param="id")
            if fields:
                row = keys.set_key(connection, key_id, fields=fields, now_ms=now_ms)
            return keys.view(row)

        return await office.change(change, by=person, action="key.change", target=str(key_id), detail=fields)
