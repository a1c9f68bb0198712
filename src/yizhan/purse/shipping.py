"""Brings journals to the control plane: this process's own as it grows, and those that dead processes left behind."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

from yizhan.errors import MoneyUnavailable
from yizhan.purse import segments
from yizhan.purse.journal import Journal
from yizhan.purse.ports import Intake
from yizhan.purse.segments import Damaged, Segment

PIECE_BYTES = 1024 * 1024
SHIP_S = 0.25  # records wait so long for company: a transaction costs as much as a hundred of them
ORPHANS_S = 1.0  # how soon the money of a process that died on this host comes back
RETRY_S = 0.5

log = logging.getLogger(__name__)


class Shipper:
    """Ships for one process. At most one question a journal is under way."""

    def __init__(self, journal: Journal, intake: Intake) -> None:
        self._journal = journal
        self._intake = intake
        self._folder: Path = journal.folder
        self._damaged: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.taken = 0  # of our own journal: everything before it is booked

    def start(self) -> None:
        """Begin to ship, on the running loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._own_for_ever(), name="ship"),
            loop.create_task(self._orphans_for_ever(), name="adopt"),
        ]

    async def stop(self, *, within_s: float) -> None:
        """Ship all, end the own journal (which returns its leases), delete it. The journal must take no more records.

        What cannot be sent in time stays on the disk for the next process to adopt.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        ended = False
        try:
            async with asyncio.timeout(within_s):
                while not ended:
                    ended = await self._tried(self._end_own())
        except TimeoutError:
            log.warning("the journal %s is left behind for another process to ship", self._journal.name)
        self._journal.release(delete=ended)

    async def ship_own(self) -> None:
        """Ship what was written so far; raises MoneyUnavailable."""
        journal = self._journal
        while self.taken < journal.position:
            data = await self._piece(journal.files, self.taken)
            assert data, "what was written can be read"
            self.taken = await self._intake.send_records(journal=journal.name, offset=self.taken, data=data)
            await journal.drop_before(self.taken)

    async def adopt(self) -> None:
        """Ship and end the journals here whose writers are dead; raises MoneyUnavailable when one has to wait."""
        trouble: MoneyUnavailable | None = None
        for name in await self._journal.apart(lambda: segments.journals(self._folder)):
            if name == self._journal.name or name in self._damaged:
                continue
            lock = await self._journal.apart(partial(segments.locked, self._folder, name))
            if lock is None:
                continue
            try:
                await self._adopt(name)
            except MoneyUnavailable as error:
                trouble = error  # the others need not wait for this one
            except Damaged:
                self._damaged.add(name)
                log.exception("the journal %s is damaged; its money stays unresolved until an operator decides", name)
            finally:
                os.close(lock)
        if trouble is not None:
            raise trouble

    async def _adopt(self, name: str) -> None:
        files = await self._journal.apart(lambda: segments.listed(self._folder, name))
        position = files[0].start if files else 0
        while data := await self._piece(files, position):
            taken = await self._intake.send_records(journal=name, offset=position, data=data)
            if taken <= position:
                raise Damaged(f"the records of {name} from {position} on are not taken in")
            position = taken
        if files:
            await self._intake.end_journal(journal=name, offset=position)
        await self._journal.apart(lambda: _delete(self._folder, name))
        log.info("the journal %s of a process that died was taken in", name)

    async def _piece(self, files: list[Segment], position: int) -> bytes:
        return await self._journal.apart(lambda: segments.read(files, position, PIECE_BYTES))

    async def _end_own(self) -> None:
        await self.ship_own()
        await self._intake.end_journal(journal=self._journal.name, offset=self.taken)

    async def _own_for_ever(self) -> None:
        while True:
            await self._tried(self.ship_own())
            await asyncio.sleep(SHIP_S)

    async def _orphans_for_ever(self) -> None:
        while True:
            await self._tried(self.adopt())
            await asyncio.sleep(ORPHANS_S)

    async def _tried(self, work: Coroutine[None, None, None]) -> bool:
        """Do what may fail while the control plane is away; says whether it went well."""
        try:
            await work
        except MoneyUnavailable:
            pass  # the link says in the log when it goes and comes
        except Exception:
            log.exception("shipping failed, and is tried again")
        else:
            return True
        await asyncio.sleep(RETRY_S)
        return False


def _delete(folder: Path, name: str) -> None:
    """Delete a journal; the lock last, so that whoever finds it finds nothing else."""
    for path in sorted(folder.glob(f"{name}.[0-9]*")):
        path.unlink()
    segments.lock_path(folder, name).unlink()
