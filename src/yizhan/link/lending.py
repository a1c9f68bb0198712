"""Lending with recall: before a wallet is called empty, gateways give back what they hold idle.

One recall at a time for a wallet, first come first served. A gateway that is silent, or dead with its journal not yet
taken in, may hold money: then the answer is ``unsure``, and the caller gets a 503 instead of a 402.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping

from yizhan.link import messages as m
from yizhan.link.ports import Books
from yizhan.link.session import Session

log = logging.getLogger(__name__)


class Lending:
    """Answers ``Borrow``."""

    def __init__(self, books: Books, sessions: Mapping[str, Session], *, recall_s: float, absent_s: float) -> None:
        self._books = books
        self._sessions = sessions
        self._recall_s = recall_s
        self._absent_s = absent_s
        self._missed: dict[str, float] = {}  # journals that hold money and are not connected → since when we know
        self._lines: dict[int, deque[asyncio.Future[None]]] = {}  # wallets of which money is being recalled

    def at_once(self, session: Session, asked: m.Borrow) -> m.Lent | None:
        """Lend without a recall; None where others stand in line for the wallet."""
        return None if asked.wallet_id in self._lines else self._lend(session, asked)

    async def in_line(self, session: Session, asked: m.Borrow, tried: m.Lent | None) -> m.Lent:
        """Wait for the recalls before this one, then recall what it needs. ``tried`` is what ``at_once`` said."""
        line = self._lines.get(asked.wallet_id)
        if line is None:
            line = self._lines[asked.wallet_id] = deque()
            turn = None
        else:
            turn = asyncio.get_running_loop().create_future()
            line.append(turn)
        try:
            if turn is not None:
                await turn
                tried = None  # it was long ago
            return await self._with_recall(session, asked, tried)
        finally:
            self._next(asked.wallet_id, line, turn)

    def _next(self, wallet_id: int, line: deque[asyncio.Future[None]], turn: asyncio.Future[None] | None) -> None:
        """Let the next one in line go on; one that left before its turn leaves the line alone."""
        if turn is not None and turn.cancelled():
            return
        while line:
            following = line.popleft()
            if not following.done():
                following.set_result(None)
                return
        del self._lines[wallet_id]

    async def _with_recall(self, session: Session, asked: m.Borrow, tried: m.Lent | None) -> m.Lent:
        lent = tried or self._lend(session, asked)
        if lent.short == 0:
            return lent
        holders = [journal for journal in self._books.holders(wallet_id=asked.wallet_id) if journal != session.journal]
        answers = await self._recall(asked.wallet_id, holders)
        if answers:
            lent = self._lend(session, asked)
        missing = sum(not self._given_up(journal) for journal in holders) - answers
        if lent.short and missing > 0:
            return m.Lent(lent.n, lent.wallet_id, lent.granted, lent.short, unsure=True)
        return lent

    async def _recall(self, wallet_id: int, holders: list[str]) -> int:
        """Have everybody else give back; says how many answered. What came back is noted by then."""
        reached = [self._sessions[journal] for journal in holders if journal in self._sessions]
        questions = [session.ask(lambda n: m.Recall(n, wallet_id)) for session in reached]
        if not questions:
            return 0
        done, silent = await asyncio.wait(questions, timeout=self._recall_s)
        for question in silent:
            question.cancel()
        return sum(question.result() is not None for question in done)

    def _given_up(self, journal: str) -> bool:
        """Say whether a holder has been away for so long that its money only comes back by an operator's decision.

        Until then callers are told to try again, since a dead process's journal is taken in within seconds.
        """
        if journal in self._sessions:
            self._missed.pop(journal, None)
            return False
        now = asyncio.get_running_loop().time()
        if now - self._missed.setdefault(journal, now) < self._absent_s:
            return False
        del self._missed[journal]
        self._books.leave_unresolved(journal=journal)
        log.error("the journal %s is missing: what it was lent stays unresolved until an operator decides", journal)
        return True

    def _lend(self, session: Session, asked: m.Borrow) -> m.Lent:
        loan = self._books.lend(
            journal=session.journal,
            wallet_id=asked.wallet_id,
            need=asked.need,
            burn=asked.burn,
            granted=asked.granted,
            returned=asked.returned,
        )
        return m.Lent(asked.n, asked.wallet_id, loan.granted_total, loan.short)
