"""The usage log and the station's figures over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import FromQuery, QueryParameter

from yizhan.usage import queries, service
from yizhan.usage.service import UsageView
from yizhan.web.access import ADMIN, USER
from yizhan.web.given import GivenOffice, GivenPerson
from yizhan.web.listing import Listing, PageSize

_DAY_MS = 86_400_000
Since = Annotated[str | None, QueryParameter(description="ISO 8601, or so long ago: `90s`, `15m`, `1h`, `7d`")]
Until = Annotated[str | None, QueryParameter(description="Like `since`; this moment itself is not included")]
Before = Annotated[str | None, QueryParameter(description="`next` of the page before")]


class UsageController(Controller):
    """What was asked and what it cost."""

    tags = ("usage",)

    @get("/usage", opt=USER, summary="List requests", operation_id="list_usage")
    async def list(
        self,
        office: GivenOffice,
        person: GivenPerson,
        *,
        user: FromQuery[str | None] = None,
        since: Since = None,
        until: Until = None,
        before: Before = None,
        limit: PageSize = 100,
    ) -> Listing[UsageView]:
        """List requests with their bills, newest first. Users see their own only."""
        now_ms = office.clock.now_ms()
        wanted = queries.Wanted(
            user=user if person.may("admin") else person.name,
            since_ms=service.moment(since, now_ms=now_ms, param="since"),
            until_ms=service.moment(until, now_ms=now_ms, param="until"),
            before=service.place(before),
            limit=limit,
        )
        found = [service.view(row) for row in await office.read(lambda c: queries.list_usage(c, wanted))]
        return Listing(data=found, next=service.cursor(found[-1]) if len(found) == limit else None)

    @get("/figures", opt=ADMIN, summary="Count the station", operation_id="figures")
    async def figures(self, office: GivenOffice) -> dict[str, int]:
        """Count users, keys, channels, money, and the requests of the last 24 hours."""
        since_ms = office.clock.now_ms() - _DAY_MS
        return await office.read(lambda c: queries.figures(c, since_ms=since_ms))
