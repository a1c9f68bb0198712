"""Money lent to gateways: a table and a counter, no ledger entries.

One lease is all that one journal (one process of a gateway) ever borrowed of one wallet, in totals that only grow:
``outstanding = granted − returned − booked``. ``wallets.leased`` is the sum of what is outstanding, where positive, of
the wallet's leases that are not closed; every function here keeps it so, under the lock of the wallet's row.

An upstream that reports more than the hold's bound can book a lease below zero. What the gateway borrows next fills
that hole first, as it does on its own side, and filling it lends nothing: the charge left the balance when booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, insert, or_, select, update

from yizhan.clock import Millis
from yizhan.store.bulk import run_rows
from yizhan.store.tables import journals, leases, running, wallets

_MILLION = 1_000_000
OUTSTANDING = leases.c.granted - leases.c.returned - leases.c.booked
_CHUNK = 500  # ids in one statement, below every driver's limit of parameters

# Built once: making and hashing a statement costs more than running it.
_STATE = (  # a shared lock: the journal must not end while a lease is made under it
    select(journals.c.state).where(journals.c.name == bindparam("j")).with_for_update(read=True)
)
_WALLET = select(wallets.c.balance, wallets.c.leased).where(wallets.c.id == bindparam("w")).with_for_update()
_MINE = and_(leases.c.journal == bindparam("j"), leases.c.wallet_id == bindparam("w"))
_LEASE = select(leases).where(_MINE)
_BEGIN = insert(leases).values(
    journal=bindparam("j"), wallet_id=bindparam("w"), granted=bindparam("total"), returned=0, booked=0, state="open"
)
_GRANT = update(leases).where(_MINE).values(granted=bindparam("total"))
_RETURN = update(leases).where(_MINE).values(returned=bindparam("total"))
_RESERVE = (
    update(wallets)
    .where(wallets.c.id == bindparam("w"), wallets.c.balance - wallets.c.leased >= bindparam("amount"))
    .values(leased=wallets.c.leased + bindparam("amount"))
)
_RELEASE = update(wallets).where(wallets.c.id == bindparam("w")).values(leased=wallets.c.leased - bindparam("amount"))
_BOOK = "UPDATE leases SET booked = booked + ? WHERE journal = ? AND wallet_id = ?"


class Loan(msgspec.Struct, frozen=True):
    """What a gateway is told. ``short`` > 0: so much is missing, and nothing was added."""

    granted_total: int
    short: int = 0


class NotLendable(Exception):
    """The question makes no sense: an unknown wallet, a journal that is not open, or totals that cannot be."""


def open_journal(c: Connection, *, journal: str, gateway: str, now_ms: Millis) -> None:
    """Begin to lend to a journal; again is a no-op, and takes back that it was ``unresolved``.

    Raises NotLendable when it has ended: its writer was taken for dead and must not go on.
    """
    row = c.execute(select(journals.c.state).where(journals.c.name == journal).with_for_update()).one_or_none()
    if row is None:
        c.execute(insert(journals).values(name=journal, gateway=gateway, position=0, state="open", opened_ms=now_ms))
    elif row.state == "unresolved":
        _set_state(c, journal, old="unresolved", new="open")
    elif row.state != "open":
        raise NotLendable(f"journal {journal} has ended")


def lend(
    c: Connection,
    *,
    journal: str,
    wallet_id: int,
    need: int,
    burn: int,
    granted: int,
    returned: int,
    share_ppm: int,
    now_ms: Millis,  # noqa: ARG001 -- every question carries its time; leases have no use for it yet
) -> Loan:
    """Lend at least ``need`` more, or nothing. Never lends what is lent already, or more than the balance.

    ``granted`` and ``returned`` are totals as the gateway knows them. A grant whose answer was lost is answered again,
    and counts towards the need. Beyond the need it lends up to ``burn`` (the last minute's spend), and of that at most
    a share of what is free, so that one gateway does not drain a wallet others also spend from.
    """
    if need < 0 or burn < 0:
        raise NotLendable("a need or a burn below zero")
    _check_open(c, journal)
    wallet = _lock(c, wallet_id)
    lease = _lease(c, journal, wallet_id)
    if lease is None and (granted or returned):
        raise NotLendable(f"journal {journal} was never lent from wallet {wallet_id}")
    already, outstanding, released = 0, 0, 0
    if lease is not None:
        if granted > lease.granted:
            raise NotLendable(f"journal {journal} claims more of wallet {wallet_id} than it was granted")
        already = lease.granted
        outstanding, released = _return(c, lease, wallet_id=wallet_id, returned=returned)
    missing = need - (already - granted)
    if missing <= 0:
        return Loan(granted_total=already)
    free = max(0, wallet.balance - wallet.leased + released)
    hole = max(0, -outstanding)
    lendable = free + hole
    if missing > lendable:
        return Loan(granted_total=already, short=missing - lendable)
    extra = min(max(0, burn - missing), free * share_ppm // _MILLION)
    grant = min(missing + extra, lendable)
    _reserve(c, wallet_id=wallet_id, amount=max(0, grant - hole))
    c.execute(_BEGIN if lease is None else _GRANT, {"j": journal, "w": wallet_id, "total": already + grant})
    return Loan(granted_total=already + grant)


def take_back(c: Connection, *, journal: str, wallet_id: int, returned: int) -> None:
    """Note the total given back since the journal began; a total that is known, or older, changes nothing.

    Raises NotLendable for more than was granted.
    """
    _lock(c, wallet_id)
    lease = _lease(c, journal, wallet_id)
    if lease is None:
        if returned:
            raise NotLendable(f"journal {journal} was never lent from wallet {wallet_id}")
        return
    _return(c, lease, wallet_id=wallet_id, returned=returned)


def book(c: Connection, *, journal: str, charges: dict[int, int]) -> dict[int, int]:
    """Count charges (by wallet) against the journal's leases; gives what each wallet's ``leased`` must go down by.

    The wallets' locks must be held; the caller writes their rows, since it takes the charges off the balances too.
    """
    released: dict[int, int] = {}
    booked: list[tuple[object, ...]] = []
    live = select(leases.c.wallet_id, OUTSTANDING).where(leases.c.journal == journal, leases.c.state != "closed")
    for some in chunks(charges):
        for wallet_id, had in c.execute(live.where(leases.c.wallet_id.in_(some))):
            charge = charges[wallet_id]
            released[wallet_id] = max(0, had) - max(0, had - charge)
            booked.append((charge, journal, wallet_id))
    run_rows(c, _BOOK, booked)
    return released


def lock_wallets(c: Connection, wallet_ids: Iterable[int]) -> set[int]:
    """Take the locks of these wallets, in the order everyone takes them; gives those that exist."""
    query = select(wallets.c.id).order_by(wallets.c.id).with_for_update()
    return {id_ for some in chunks(wallet_ids) for id_ in c.execute(query.where(wallets.c.id.in_(some))).scalars()}


def lock_wallets_of(c: Connection, *, journal: str) -> None:
    """Take the locks of all wallets whose money or requests the journal has, in the order everyone takes them."""
    holding = select(leases.c.wallet_id).where(leases.c.journal == journal, leases.c.state != "closed")
    spending = select(running.c.wallet_id).where(running.c.journal == journal)
    concerned = or_(wallets.c.id.in_(holding), wallets.c.id.in_(spending))
    c.execute(select(wallets.c.id).where(concerned).order_by(wallets.c.id).with_for_update())


def close_all(c: Connection, *, journal: str, now_ms: Millis) -> None:
    """End the journal: what its leases still hold is free again.

    Everything it wrote must have been booked, and ``lock_wallets_of`` called, since a journal may hold money of very
    many wallets: this is a few statements, whatever their number.
    """
    mine = and_(leases.c.journal == journal, leases.c.state != "closed", OUTSTANDING > 0)
    held = select(OUTSTANDING).where(mine, leases.c.wallet_id == wallets.c.id).scalar_subquery()
    c.execute(
        update(wallets)
        .where(wallets.c.id.in_(select(leases.c.wallet_id).where(mine)))
        .values(leased=wallets.c.leased - held)
    )
    c.execute(update(leases).where(leases.c.journal == journal).values(state="closed"))
    c.execute(update(journals).where(journals.c.name == journal).values(state="ended", ended_ms=now_ms))


def leave_unresolved(c: Connection, *, journal: str) -> None:
    """Note that nobody knows how the journal ends: its money stays lent until it speaks again or is ended."""
    c.execute(select(journals.c.name).where(journals.c.name == journal).with_for_update())
    _set_state(c, journal, old="open", new="unresolved")


def chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    """Sort ids and cut them into lists short enough for one statement."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def _set_state(c: Connection, journal: str, *, old: str, new: str) -> None:
    c.execute(update(journals).where(journals.c.name == journal, journals.c.state == old).values(state=new))
    c.execute(update(leases).where(leases.c.journal == journal, leases.c.state == old).values(state=new))


def _check_open(c: Connection, journal: str) -> None:
    state = c.execute(_STATE, {"j": journal}).scalar_one_or_none()
    if state != "open":
        raise NotLendable(f"journal {journal} is {state or 'unknown'}")


def _lock(c: Connection, wallet_id: int) -> Row[Any, Any]:
    row = c.execute(_WALLET, {"w": wallet_id}).one_or_none()
    if row is None:
        raise NotLendable(f"there is no wallet {wallet_id}")
    return row


def _lease(c: Connection, journal: str, wallet_id: int) -> Row[Any] | None:
    return c.execute(_LEASE, {"j": journal, "w": wallet_id}).one_or_none()


def _return(c: Connection, lease: Row[Any], *, wallet_id: int, returned: int) -> tuple[int, int]:
    """Apply a total of returns; gives what is outstanding then, and what became free by it."""
    before = _outstanding(lease)
    if returned > lease.granted:
        raise NotLendable(f"journal {lease.journal} gives back more of wallet {wallet_id} than it was granted")
    if returned <= lease.returned or lease.state == "closed":
        return before, 0
    after = before - (returned - lease.returned)
    released = max(0, before) - max(0, after)
    _release(c, wallet_id, released)
    c.execute(_RETURN, {"j": lease.journal, "w": wallet_id, "total": returned})
    return after, released


def _outstanding(lease: Row[Any]) -> int:
    return int(lease.granted - lease.returned - lease.booked)


def _reserve(c: Connection, *, wallet_id: int, amount: int) -> None:
    if amount:
        lent = c.execute(_RESERVE, {"w": wallet_id, "amount": amount})
        assert lent.rowcount == 1, "more was lent than was free, although the wallet was locked"


def _release(c: Connection, wallet_id: int, amount: int) -> None:
    if amount:
        c.execute(_RELEASE, {"w": wallet_id, "amount": amount})
