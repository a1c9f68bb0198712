"""Price groups, and what is known of models, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Controller, get, put
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy import Row

from yizhan.errors import BadRequest
from yizhan.prices import queries, service
from yizhan.web.access import ADMIN
from yizhan.web.given import GivenOffice, GivenPerson
from yizhan.web.listing import Listing, PageSize

Tokens = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
UNSET = msgspec.UNSET


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A price group. ``multiplier_ppm`` 1,000,000 charges the list price."""

    name: str
    multiplier_ppm: int
    note: str


class GroupChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a group is to be."""

    multiplier_ppm: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
    note: Annotated[str, msgspec.Meta(max_length=255)] = ""


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model; None is unknown."""

    name: str
    owned_by: str
    created_s: int
    context_tokens: int | None
    output_tokens_max: int | None


class ModelChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a model; what is absent stays."""

    owned_by: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | msgspec.UnsetType = UNSET
    context_tokens: Tokens | msgspec.UnsetType | None = UNSET
    output_tokens_max: Tokens | msgspec.UnsetType | None = UNSET


class GroupController(Controller):
    """Price groups: who pays how much of the list price."""

    path = "/groups"
    tags = ("groups",)

    @get(opt=ADMIN, summary="List price groups", operation_id="list_groups")
    async def list(self, office: GivenOffice) -> Listing[GroupView]:
        """List the price groups."""
        return Listing(data=[_group(row) for row in await office.read(queries.list_groups)])

    @put("/{name:str}", opt=ADMIN, summary="Set a price group", operation_id="set_group")
    async def set(
        self, name: FromPath[str], data: JSONBody[GroupChange], office: GivenOffice, person: GivenPerson
    ) -> GroupView:
        """Add or change a price group; in force on every worker within a second."""
        if not 1 <= len(name) <= 64 or not name.isprintable():
            raise BadRequest("A group's name has 1 to 64 printable characters.", param="name")
        now_ms = office.clock.now_ms()
        return await office.change(
            lambda c: _group(
                queries.set_group(c, name, multiplier_ppm=data.multiplier_ppm, note=data.note, now_ms=now_ms)
            ),
            by=person,
            action="group.set",
            target=name,
            detail=msgspec.structs.asdict(data),
        )


class ModelController(Controller):
    """What is known of models besides their price; holds are computed from it."""

    path = "/models"
    tags = ("models",)

    @get(opt=ADMIN, summary="List models", operation_id="list_models")
    async def list(self, office: GivenOffice, after: FromQuery[str] = "", limit: PageSize = 100) -> Listing[ModelView]:
        """List what is known of models, by name."""
        found = [_model(row) for row in await office.read(lambda c: queries.list_models(c, after=after, limit=limit))]
        return Listing(data=found, next=found[-1].name if len(found) == limit else None)

    @put("/{model:path}", opt=ADMIN, summary="Set a model's limits", operation_id="set_model")
    async def set(
        self, model: FromPath[str], data: JSONBody[ModelChange], office: GivenOffice, person: GivenPerson
    ) -> ModelView:
        """Set a model's context window and output limit; in force on every worker within a second."""
        name = model.removeprefix("/")
        service.check_model(name)
        fields = {key: value for key, value in msgspec.structs.asdict(data).items() if value is not UNSET}
        now_ms = office.clock.now_ms()
        return await office.change(
            lambda c: _model(queries.set_model(c, name, fields=fields, now_ms=now_ms)),
            by=person,
            action="model.set",
            target=name,
            detail=fields,
        )


def _group(row: Row[Any]) -> GroupView:
    return GroupView(name=row.name, multiplier_ppm=row.multiplier_ppm, note=row.note)


def _model(row: Row[Any]) -> ModelView:
    return ModelView(
        name=row.name,
        owned_by=row.owned_by,
        created_s=row.created_s,
        context_tokens=row.context_tokens,
        output_tokens_max=row.output_tokens_max,
    )
