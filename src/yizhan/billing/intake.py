"""Taking journals in: each record is booked once, whatever is sent again, late, or after a crash.

Everything a piece of a journal means happens in one transaction: usage rows, ledger, balances, leases, and the position
up to which the journal is booked. What was opened and not yet closed waits in ``running``; what cannot be booked is
kept in ``strays``, where ``verify`` complains about it, so that one bad record neither is lost nor stops the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from yizhan.billing import leases
from yizhan.billing.booking import Ended, Stray, book, booked_already, park
from yizhan.clock import Millis
from yizhan.protocols.usage import Usage
from yizhan.purse.frames import pack, read_records, unpack
from yizhan.purse.records import Closed, Opened, Progressed, Record
from yizhan.store.tables import journals, running

_PROGRESS = update(running).where(running.c.request_id == bindparam("r")).values(progressed=bindparam("progress"))
_FORGET = delete(running).where(running.c.request_id == bindparam("r"))


class JournalGap(Exception):
    """Records between what is booked and what was sent are missing. ``position`` is where to send from."""

    def __init__(self, journal: str, *, position: int, offset: int) -> None:
        super().__init__(f"journal {journal} is booked up to {position}, but {offset} was sent")
        self.position = position


class JournalEnded(Exception):
    """New records of a journal that was ended: its writer was taken for dead, and its requests are booked."""


class _Found:
    """What a piece of a journal says, by request. The first closing counts: a request ends once."""

    __slots__ = ("closed", "end", "opened", "progressed")

    def __init__(self, records: Iterable[tuple[Record, int]], start: int) -> None:
        self.opened: dict[str, Opened] = {}
        self.progressed: dict[str, Progressed] = {}
        self.closed: dict[str, Closed] = {}
        self.end = start
        for record, end in records:
            if isinstance(record, Closed):
                self.closed.setdefault(record.request_id, record)
            elif isinstance(record, Opened):
                self.opened.setdefault(record.request_id, record)
            else:
                self.progressed[record.request_id] = record
            self.end = end


def take_in(c: Connection, *, journal: str, offset: int, data: bytes, now_ms: Millis) -> int:
    """Book a piece of a journal that begins at ``offset``; gives the position up to which the journal is booked.

    What was sent before is skipped. Raises JournalGap, JournalEnded, and UnreadableRecord; then nothing is changed.
    """
    position, state = _position(c, journal, now_ms)
    if offset > position:
        raise JournalGap(journal, position=position, offset=offset)
    found = _Found(read_records(data, position - offset), position - offset)
    end = offset + found.end
    if end <= position:
        return position
    if state == "ended":
        raise JournalEnded(f"journal {journal} has ended at {position}")
    _take(c, journal, found, now_ms)
    c.execute(update(journals).where(journals.c.name == journal).values(position=end))
    return end


def end_journal(c: Connection, *, journal: str, offset: int, now_ms: Millis) -> None:
    """Book what the journal's writer left running, and free what was lent to it. Again is a no-op.

    With progress recorded a request is ``interrupted`` and charged that much, estimated; without, it is ``unknown`` and
    free. Raises JournalGap when the journal reaches further than it was taken in.
    """
    position, state = _position(c, journal, now_ms)
    if state == "ended":
        return
    if offset > position:
        raise JournalGap(journal, position=position, offset=offset)
    rows = c.execute(select(running.c.opened, running.c.progressed).where(running.c.journal == journal)).all()
    left = [_left_running(row.opened, row.progressed) for row in rows]
    leases.lock_wallets_of(c, journal=journal)
    strays = book(c, journal=journal, ended=left, now_ms=now_ms)
    park(c, journal=journal, strays=strays, now_ms=now_ms)
    c.execute(delete(running).where(running.c.journal == journal))
    leases.close_all(c, journal=journal, now_ms=now_ms)


def _position(c: Connection, journal: str, now_ms: Millis) -> tuple[int, str]:
    """Lock the journal; one nobody announced (its gateway died before it could) begins now."""
    query = select(journals.c.position, journals.c.state).where(journals.c.name == journal).with_for_update()
    row = c.execute(query).one_or_none()
    if row is None:
        leases.open_journal(c, journal=journal, gateway=journal.rpartition("-")[0], now_ms=now_ms)
        return 0, "open"
    return row.position, row.state


def _take(c: Connection, journal: str, found: _Found, now_ms: Millis) -> None:
    done = booked_already(c, {*found.opened, *found.closed, *found.progressed})
    earlier = _opened_earlier(c, [id_ for id_ in (*found.closed, *found.progressed) if id_ not in found.opened])
    strays: list[Stray] = []
    ended: list[Ended] = []
    for id_, closed in found.closed.items():
        opened = found.opened.get(id_) or earlier.get(id_)
        if id_ in done:
            continue
        if opened is None:
            strays.append(Stray(request_id=id_, reason="closed without an opening", record=pack(closed)))
        else:
            ended.append(Ended(opened, closed))
    strays += book(c, journal=journal, ended=ended, now_ms=now_ms)
    _keep_running(c, journal, [one for id_, one in found.opened.items() if id_ not in found.closed and id_ not in done])
    progress: list[dict[str, object]] = []
    for id_, progressed in found.progressed.items():
        if id_ in found.closed or id_ in done:
            continue
        if id_ in found.opened or id_ in earlier:
            progress.append({"r": id_, "progress": pack(progressed)})
        else:
            strays.append(Stray(request_id=id_, reason="progress without an opening", record=pack(progressed)))
    if progress:
        c.execute(_PROGRESS, progress)
    over = [{"r": id_} for id_ in found.closed if id_ in earlier]
    if over:
        c.execute(_FORGET, over)
    park(c, journal=journal, strays=strays, now_ms=now_ms)


def _opened_earlier(c: Connection, ids: list[str]) -> dict[str, Opened]:
    found: dict[str, Opened] = {}
    for start in range(0, len(ids), 500):
        query = select(running.c.request_id, running.c.opened).where(running.c.request_id.in_(ids[start : start + 500]))
        for row in c.execute(query):
            opened = unpack(row.opened)
            assert isinstance(opened, Opened)
            found[row.request_id] = opened
    return found


def _keep_running(c: Connection, journal: str, opened: list[Opened]) -> None:
    if not opened:
        return
    known = _opened_earlier(c, [one.request_id for one in opened])  # the same id twice: the first one counts
    rows = [
        {
            "request_id": one.request_id,
            "journal": journal,
            "wallet_id": one.wallet_id,
            "hold": one.hold,
            "opened": pack(one),
        }
        for one in opened
        if one.request_id not in known
    ]
    if rows:
        c.execute(insert(running), rows)


def _left_running(opened_packed: bytes, progressed_packed: bytes | None) -> Ended:
    """Say how a request ended whose process did not live to say it."""
    opened = unpack(opened_packed)
    assert isinstance(opened, Opened)
    if progressed_packed is None:
        closed = Closed(opened.request_id, opened.at_ms, "unknown", Usage(), 0, estimated=True)
        return Ended(opened, closed)
    progressed = unpack(progressed_packed)
    assert isinstance(progressed, Progressed)
    closed = Closed(
        opened.request_id,
        progressed.at_ms,
        "interrupted",
        progressed.usage,
        progressed.charge,
        estimated=True,
        channel_id=progressed.channel_id,
        duration_ms=max(0, progressed.at_ms - opened.at_ms),
    )
    return Ended(opened, closed)
