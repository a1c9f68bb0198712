"""Users over HTTP."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Connection

from yizhan.accounts import queries, service
from yizhan.accounts.password import GivenDoorkeeper
from yizhan.accounts.service import UserView
from yizhan.web.access import ADMIN, USER, Role, own_or_admin
from yizhan.web.given import GivenOffice, GivenPerson
from yizhan.web.listing import Listing, PageSize

After = Annotated[int, QueryParameter(ge=0, description="Only ids above this one; `next` of the page before")]


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to add. Without a password the user cannot sign in, and uses keys only."""

    name: str
    role: Role = "user"
    password: str | None = None
    group: str = "default"


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a user; what is absent stays."""

    role: Role | msgspec.UnsetType = msgspec.UNSET
    status: Annotated[str, msgspec.Meta(pattern="^(enabled|disabled)$")] | msgspec.UnsetType = msgspec.UNSET
    group: str | msgspec.UnsetType = msgspec.UNSET
    password: str | msgspec.UnsetType = msgspec.UNSET


class UserController(Controller):
    """Users and their wallets."""

    path = "/users"
    tags = ("users",)

    @post(opt=ADMIN, summary="Add a user", operation_id="add_user")
    async def add(
        self, data: JSONBody[NewUser], office: GivenOffice, person: GivenPerson, doorkeeper: GivenDoorkeeper
    ) -> UserView:
        """Add a user with an empty wallet. Only an owner adds admins and owners."""
        service.check_name(data.name)
        service.check_password(data.password)
        service.check_rank(person, role=data.role)
        secret = await doorkeeper.hash(data.password) if data.password is not None else None
        now_ms = office.clock.now_ms()

        def add(connection: Connection) -> UserView:
            queries.add_user(
                connection, name=data.name, role=data.role, password_hash=secret, group=data.group, now_ms=now_ms
            )
            return service.show(connection, data.name)

        detail: dict[str, object] = {"role": data.role, "group": data.group}
        return await office.change(add, by=person, action="user.add", target=data.name, detail=detail)

    @get(opt=ADMIN, summary="List users", operation_id="list_users")
    async def list(self, office: GivenOffice, after: After = 0, limit: PageSize = 100) -> Listing[UserView]:
        """List users with their balances, oldest first."""
        found = await office.read(lambda c: service.list_views(c, after=after, limit=limit))
        return Listing(data=found, next=str(found[-1].id) if len(found) == limit else None)

    @get("/{name:str}", opt=USER, summary="Show a user", operation_id="show_user")
    async def show(self, name: FromPath[str], office: GivenOffice, person: GivenPerson) -> UserView:
        """Show a user with balance and available money. Users see themselves only."""
        own_or_admin(person, owner=name, what="user")
        return await office.read(lambda c: service.show(c, name))

    @patch("/{name:str}", opt=ADMIN, summary="Change a user", operation_id="change_user")
    async def change(
        self,
        name: FromPath[str],
        data: JSONBody[UserChange],
        office: GivenOffice,
        person: GivenPerson,
        doorkeeper: GivenDoorkeeper,
    ) -> UserView:
        """Change role, status, price group or password. Disabling also stops the user's keys, everywhere at once."""
        fields: dict[str, object] = {}
        if data.role is not msgspec.UNSET:
            service.check_rank(person, role=data.role)
            fields["role"] = data.role
        if data.status is not msgspec.UNSET:
            fields["status"] = data.status
        if data.group is not msgspec.UNSET:
            fields["price_group"] = data.group
        shown = dict(fields)
        if data.password is not msgspec.UNSET:
            service.check_password(data.password)
            fields["password_hash"] = await doorkeeper.hash(data.password)
            shown |= {"password": "changed"}
        if not fields:
            return await office.read(lambda c: service.show(c, name))
        now_ms = office.clock.now_ms()
        return await office.change(
            lambda c: service.change(c, name, fields=fields, by=person, now_ms=now_ms),
            by=person,
            action="user.change",
            target=name,
            detail=shown,
        )
