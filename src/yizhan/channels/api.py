"""Channels over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from yizhan.channels import queries, service, trial
from yizhan.channels.service import ChannelView
from yizhan.channels.trial import Trial
from yizhan.errors import BadRequest
from yizhan.web.access import ADMIN
from yizhan.web.given import GivenOffice, GivenPerson
from yizhan.web.listing import Listing, PageSize
from yizhan.web.office import Office

Priority = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
Weight = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Note = Annotated[str, msgspec.Meta(max_length=255)]
Models = list[str] | dict[str, str]
UNSET = msgspec.UNSET
After = Annotated[int, QueryParameter(ge=0, description="Only ids above this one; `next` of the page before")]


class NewChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel to add. ``models`` is a list of names, or maps the names callers use to the upstream's."""

    name: str
    vendor: str
    base_url: str
    keys: list[str]
    models: Models
    groups: list[str] = msgspec.field(default_factory=lambda: ["default"])
    priority: Priority = 0
    weight: Weight = 1
    enabled: bool = True
    proxy: str | None = None
    note: Note = ""


class ChannelChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a channel; what is absent stays."""

    name: str | msgspec.UnsetType = UNSET
    vendor: str | msgspec.UnsetType = UNSET
    base_url: str | msgspec.UnsetType = UNSET
    keys: list[str] | msgspec.UnsetType = UNSET
    models: Models | msgspec.UnsetType = UNSET
    groups: list[str] | msgspec.UnsetType = UNSET
    priority: Priority | msgspec.UnsetType = UNSET
    weight: Weight | msgspec.UnsetType = UNSET
    enabled: bool | msgspec.UnsetType = UNSET
    proxy: str | msgspec.UnsetType | None = UNSET
    note: Note | msgspec.UnsetType = UNSET


class ChannelController(Controller):
    """The ways to the upstreams."""

    path = "/channels"
    tags = ("channels",)

    @post(opt=ADMIN, summary="Add a channel", operation_id="add_channel")
    async def add(self, data: JSONBody[NewChannel], office: GivenOffice, person: GivenPerson) -> ChannelView:
        """Add a way to an upstream; in force on every worker within a second. Its keys are sealed at once."""
        fields = _fields(msgspec.structs.asdict(data), office)
        now_ms = office.clock.now_ms()
        return await office.change(
            lambda c: service.view(queries.add_channel(c, fields=fields, now_ms=now_ms), office.seal),
            by=person,
            action="channel.add",
            target=data.name,
            detail=_told(fields),
        )

    @get(opt=ADMIN, summary="List channels", operation_id="list_channels")
    async def list(self, office: GivenOffice, after: After = 0, limit: PageSize = 100) -> Listing[ChannelView]:
        """List channels, oldest first."""
        rows = await office.read(lambda c: queries.list_channels(c, after=after, limit=limit))
        found = [service.view(row, office.seal) for row in rows]
        return Listing(data=found, next=str(found[-1].id) if len(found) == limit else None)

    @get("/{channel:str}", opt=ADMIN, summary="Show a channel", operation_id="show_channel")
    async def show(self, channel: FromPath[str], office: GivenOffice) -> ChannelView:
        """Show a channel, found by name or id, with the tails of its keys."""
        return service.view(await office.read(lambda c: queries.find_channel(c, channel)), office.seal)

    @patch("/{channel:str}", opt=ADMIN, summary="Change a channel", operation_id="change_channel")
    async def change(
        self, channel: FromPath[str], data: JSONBody[ChannelChange], office: GivenOffice, person: GivenPerson
    ) -> ChannelView:
        """Change, disable or enable a channel; in force on every worker within a second."""
        given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
        fields = _fields(given, office)
        now_ms = office.clock.now_ms()
        return await office.change(
            lambda c: service.view(queries.set_channel(c, channel, fields=fields, now_ms=now_ms), office.seal),
            by=person,
            action="channel.change",
            target=channel,
            detail=_told(fields),
        )

    @delete("/{channel:str}", opt=ADMIN, summary="Remove a channel", operation_id="remove_channel", status_code=200)
    async def remove(self, channel: FromPath[str], office: GivenOffice, person: GivenPerson) -> ChannelView:
        """Remove a channel and its keys; answers with what it was. Requests that run on it end as they would."""
        now_ms = office.clock.now_ms()
        return await office.change(
            lambda c: service.view(queries.remove_channel(c, channel, now_ms=now_ms), office.seal),
            by=person,
            action="channel.remove",
            target=channel,
        )

    @post("/{channel:str}/test", opt=ADMIN, summary="Test a channel", operation_id="test_channel", status_code=200)
    async def test(self, channel: FromPath[str], office: GivenOffice, model: FromQuery[str | None] = None) -> Trial:
        """Ask the upstream for one token, for real; it may cost the operator that token. Nothing is billed to users."""
        row = await office.read(lambda c: queries.find_channel(c, channel))
        if model is not None and model not in row.models:
            raise BadRequest(f"The channel does not serve {model!r}.", param="model")
        return await trial.run(row, model=model or next(iter(row.models)), seal=office.seal, clock=office.clock)


def _fields(given: dict[str, Any], office: Office) -> dict[str, Any]:
    """Check what was given, and put it as the table keeps it."""
    fields = dict(given)
    if "name" in given:
        service.check_name(given["name"])
    if "vendor" in given:
        service.check_vendor(given["vendor"])
    if "base_url" in given:
        service.check_url(given["base_url"])
    if "models" in given:
        models = given["models"]
        fields["models"] = models if isinstance(models, dict) else {name: name for name in models}
        service.check_models(fields["models"])
    if "groups" in given and not given["groups"]:
        raise BadRequest("A channel serves at least one group.", param="groups")
    if "keys" in given:
        fields["keys_sealed"] = service.sealed_keys(fields.pop("keys"), office.seal)
    if "proxy" in given:
        proxy = fields.pop("proxy")
        if proxy is not None:
            service.check_url(proxy, param="proxy", schemes=("http", "https", "socks5"))
        fields["proxy_sealed"] = None if proxy is None else office.seal.seal(proxy.encode())
    return fields


def _told(fields: dict[str, Any]) -> dict[str, object]:
    """What the audit may hold: no secrets, sealed or not."""
    told = {name: value for name, value in fields.items() if not name.endswith("_sealed")}
    told.update({name.removesuffix("_sealed"): "changed" for name in fields if name.endswith("_sealed")})
    return told
