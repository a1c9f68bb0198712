"""What the planes say to each other, over one connection a gateway: frames of 4-byte big-endian length + msgpack.

``n`` pairs an answer with its question. Counters of a lease are totals since the journal began, so that a message
lost, repeated or answered twice changes nothing.
"""

from __future__ import annotations

import msgspec

from yizhan.catalog.snapshot import Change
from yizhan.purse.ports import KeyRecord as KeyRecord  # noqa: PLC0414 -- sent as it is, so it belongs here too

# -- gateway → control plane -------------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """First frame. ``journal`` names this process's journal; ``have_seq`` is the snapshot it holds (0: none)."""

    gateway: str
    journal: str
    have_seq: int
    secret: str = ""


class OpenKey(msgspec.Struct, frozen=True, array_like=True, tag="open_key"):
    """Ask for a key's record, and for money to begin with, in one call."""

    n: int
    key_hash: bytes
    need: int  # nano-USD


class Borrow(msgspec.Struct, frozen=True, array_like=True, tag="borrow"):
    """Ask for ``need`` more nano-USD of a wallet. ``burn`` is what this gateway spent of it in the last minute."""

    n: int
    wallet_id: int
    need: int
    burn: int
    granted: int  # total the gateway knows it was granted
    returned: int  # total it has given back


class Returned(msgspec.Struct, frozen=True, array_like=True, tag="returned"):
    """Give money back: in answer to a ``Recall`` (its ``n``), or unasked (``n`` 0)."""

    n: int
    wallet_id: int
    returned: int  # total given back since the journal began


class Records(msgspec.Struct, frozen=True, array_like=True, tag="records"):
    """A piece of a journal, whole records only, beginning at ``offset``. Answered by ``Taken`` once committed."""

    n: int
    journal: str
    offset: int
    data: bytes


class JournalEnd(msgspec.Struct, frozen=True, array_like=True, tag="journal_end"):
    """The journal's writer is gone (or stopping) and all was sent up to ``offset``: close its leases and requests."""

    n: int
    journal: str
    offset: int


class Figures(msgspec.Struct, frozen=True, array_like=True, tag="figures"):
    """Answer to ``PullFigures``: this worker's metrics in the Prometheus text format."""

    n: int
    text: str


# -- control plane → gateway -------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """Answer to ``Hello``. ``pepper`` keys the hash of keys; ``seq`` is what the gateway holds from now on.

    ``parts`` is the snapshot (see ``link/parts.py``), or None where deltas will lead on from ``have_seq``.
    """

    pepper: bytes
    seq: int
    parts: tuple[bytes, ...] | None


class Lent(msgspec.Struct, frozen=True, array_like=True, tag="lent"):
    """Answer to ``Borrow``: the total granted so far. ``short`` > 0: that much is missing and nothing was added.

    ``unsure`` says a gateway that may hold idle money did not answer, so the caller gets a 503 and not a 402.
    """

    n: int
    wallet_id: int
    granted: int
    short: int = 0
    unsure: bool = False


class KeyOpened(msgspec.Struct, frozen=True, array_like=True, tag="key_opened"):
    """Answer to ``OpenKey``. ``record`` None: no such key. ``lent`` is None where money must be asked for."""

    n: int
    record: KeyRecord | None
    lent: Lent | None


class Recall(msgspec.Struct, frozen=True, array_like=True, tag="recall"):
    """Give back what is idle of this wallet; answer at once, also with nothing."""

    n: int
    wallet_id: int


class Taken(msgspec.Struct, frozen=True, array_like=True, tag="taken"):
    """Answer to ``Records`` and ``JournalEnd``: everything before ``offset`` is booked and may be deleted."""

    n: int
    journal: str
    offset: int


class Delta(msgspec.Struct, frozen=True, array_like=True, tag="delta"):
    """The catalog moved from ``since`` to ``seq``. Holding another ``since`` means a gap: say ``Hello`` again."""

    since: int
    seq: int
    changes: tuple[Change, ...]
    key_hashes: tuple[bytes, ...] = ()  # forget what you know of these keys
    wallets: tuple[int, ...] = ()  # money came: forget refusals of these wallets


class PullFigures(msgspec.Struct, frozen=True, array_like=True, tag="pull_figures"):
    """Ask for the worker's metrics."""

    n: int


class Trouble(msgspec.Struct, frozen=True, array_like=True, tag="trouble"):
    """Answer to any question that failed; ``n`` 0 before the connection is closed. Nothing was changed."""

    n: int
    reason: str


FromGateway = Hello | OpenKey | Borrow | Returned | Records | JournalEnd | Figures
FromControl = Welcome | Lent | KeyOpened | Recall | Taken | Delta | PullFigures | Trouble
