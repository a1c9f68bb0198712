"""The price book over HTTP."""

from __future__ import annotations

import msgspec
from litestar import Controller, delete, get, put
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy import Connection

from yizhan.catalog.entries import Price
from yizhan.prices import queries, service
from yizhan.prices.service import PriceView
from yizhan.web.access import ADMIN, USER
from yizhan.web.given import GivenOffice, GivenPerson
from yizhan.web.listing import Listing, PageSize

SOURCE = "operator"


class NewPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price to put in force. Amounts are USD as decimal text: ``{"input": "0.15", "output": "0.60"}``.

    Classes left out fall back: cached and cache-write, image and audio input to ``input``; reasoning, image and audio
    output to ``output``.
    """

    usd_per_mtok: dict[str, str] = msgspec.field(default_factory=dict)
    usd_per_request: str = "0"
    free: bool = False


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs, and what it cost. ``current`` is None when it is not sold any more."""

    model: str
    current: PriceView | None
    versions: list[PriceView]


class PriceController(Controller):
    """What models cost."""

    path = "/prices"
    tags = ("prices",)

    @get(opt=USER, summary="List prices", operation_id="list_prices")
    async def list(self, office: GivenOffice, after: FromQuery[str] = "", limit: PageSize = 100) -> Listing[PriceView]:
        """List the prices in force, by model."""
        found = [
            service.view(row) for row in await office.read(lambda c: queries.in_force(c, after=after, limit=limit))
        ]
        return Listing(data=found, next=found[-1].model if len(found) == limit else None)

    @get("/{model:path}", opt=USER, summary="Show a model's price", operation_id="show_price")
    async def show(self, model: FromPath[str], office: GivenOffice) -> Versions:
        """Show what a model costs, and the versions before."""
        name = model.removeprefix("/")
        found = [service.view(row) for row in await office.read(lambda c: queries.versions(c, name))]
        return Versions(model=name, current=None if found[0].withdrawn else found[0], versions=found)

    @put("/{model:path}", opt=ADMIN, summary="Set a model's price", operation_id="set_price")
    async def set(
        self, model: FromPath[str], data: JSONBody[NewPrice], office: GivenOffice, person: GivenPerson
    ) -> PriceView:
        """Put a new version in force, on every worker within a second. Requests that run keep the price they had."""
        name = model.removeprefix("/")
        price = service.priced(
            name, free=data.free, usd_per_mtok=data.usd_per_mtok, usd_per_request=data.usd_per_request
        )
        now_ms = office.clock.now_ms()
        return await office.change(
            lambda c: service.view(queries.add_price(c, price, source=SOURCE, now_ms=now_ms)),
            by=person,
            action="price.set",
            target=name,
            detail=msgspec.structs.asdict(data),
        )

    @delete("/{model:path}", opt=ADMIN, summary="Withdraw a price", operation_id="withdraw_price", status_code=200)
    async def withdraw(self, model: FromPath[str], office: GivenOffice, person: GivenPerson) -> PriceView:
        """Stop selling a model. Its versions stay, for the receipts that name them."""
        name = model.removeprefix("/")
        now_ms = office.clock.now_ms()

        def withdraw(connection: Connection) -> PriceView:
            queries.versions(connection, name, limit=1)
            nothing = Price(version=0, model=name)
            return service.view(queries.add_price(connection, nothing, source=SOURCE, now_ms=now_ms, withdrawn=True))

        return await office.change(withdraw, by=person, action="price.withdraw", target=name)
