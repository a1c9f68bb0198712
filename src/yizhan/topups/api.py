"""Top-ups, and the proof of the books, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from sqlalchemy import Connection, Row

from yizhan.billing import ledger, verify
from yizhan.errors import BadRequest
from yizhan.money import Money
from yizhan.topups import queries
from yizhan.web.access import ADMIN, USER
from yizhan.web.given import GivenOffice, GivenPerson
from yizhan.web.listing import Listing, PageSize

Before = Annotated[int | None, QueryParameter(ge=1, description="Only ids below this one; `next` of the page before")]


class NewTopup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money for a user's wallet. ``reference`` is an id from outside: the same one is posted once, ever."""

    user: str
    usd: str
    source: Literal["payment", "promotion"] = "payment"
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    memo: Annotated[str, msgspec.Meta(max_length=255)] = ""


class Topup(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up as posted, and the balance after this request."""

    transaction_id: int
    user: str
    amount_nano_usd: int
    balance_nano_usd: int


class TopupView(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up in the list."""

    transaction_id: int
    at_ms: int
    user: str
    amount_nano_usd: int
    actor: str
    memo: str
    reference: str | None


class TopupController(Controller):
    """Money that comes in."""

    path = "/topups"
    tags = ("topups",)

    @post(opt=ADMIN, summary="Top up a wallet", operation_id="add_topup")
    async def add(self, data: JSONBody[NewTopup], office: GivenOffice, person: GivenPerson) -> Topup:
        """Credit a user. Refused requests of that user are served again at once."""
        amount = _amount(data.usd)
        now_ms = office.clock.now_ms()

        def add(connection: Connection) -> Topup:
            wallet = queries.wallet_of(connection, data.user)
            transaction = ledger.topup(
                connection,
                wallet_id=wallet,
                amount=amount,
                source=data.source,
                actor=person.name,
                reference=data.reference,
                memo=data.memo,
                now_ms=now_ms,
            )
            return Topup(
                transaction_id=transaction,
                user=data.user,
                amount_nano_usd=int(amount),
                balance_nano_usd=queries.balance_of(connection, wallet),
            )

        detail: dict[str, object] = {"usd": amount.usd(), "source": data.source, "reference": data.reference}
        return await office.change(add, by=person, action="topup.add", target=data.user, detail=detail)

    @get(opt=USER, summary="List top-ups", operation_id="list_topups")
    async def list(
        self,
        office: GivenOffice,
        person: GivenPerson,
        *,
        user: FromQuery[str | None] = None,
        before: Before = None,
        limit: PageSize = 100,
    ) -> Listing[TopupView]:
        """List top-ups, newest first. Users see their own only."""
        whose = user if person.may("admin") else person.name
        rows = await office.read(lambda c: queries.list_topups(c, user=whose, before=before, limit=limit))
        found = [_view(row) for row in rows]
        return Listing(data=found, next=str(found[-1].transaction_id) if len(found) == limit else None)


class LedgerController(Controller):
    """The books."""

    path = "/ledger"
    tags = ("ledger",)

    @get("/verify", opt=ADMIN, summary="Prove the books", operation_id="verify_ledger")
    async def verify(self, office: GivenOffice) -> dict[str, Any]:
        """Check that entries sum to zero, wallets equal their entries, and every charge is booked once."""
        report = await office.read(verify.verify)
        shown: dict[str, Any] = msgspec.to_builtins(report)
        return shown


def _amount(text: str) -> Money:
    try:
        amount = Money.from_usd(text)
    except (ValueError, OverflowError) as error:
        raise BadRequest(str(error), param="usd") from None
    if amount <= 0:
        raise BadRequest("A top-up is more than nothing.", param="usd")
    return amount


def _view(row: Row[Any]) -> TopupView:
    return TopupView(
        transaction_id=row.id,
        at_ms=row.at_ms,
        user=row.user,
        amount_nano_usd=row.amount,
        actor=row.actor,
        memo=row.memo,
        reference=row.reference,
    )
