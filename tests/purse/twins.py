"""Twins of what stands behind the purse: a bank with real sums, a disk that can fail, an intake that keeps records."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from yizhan.errors import MoneyUnavailable
from yizhan.protocols.usage import Usage
from yizhan.purse.disk import Disk
from yizhan.purse.frames import read_records
from yizhan.purse.ports import KeyRecord
from yizhan.purse.purse import Purse
from yizhan.purse.records import Closed, Opened, Record


class Lent(msgspec.Struct, frozen=True):
    wallet_id: int
    granted: int
    short: int = 0
    unsure: bool = False


class Opening(msgspec.Struct, frozen=True):
    record: KeyRecord | None


class Bank:
    """Lends from real balances, as the control plane does; ``gate`` holds its answers back."""

    def __init__(self) -> None:
        self.purse: Purse | None = None
        self.balances: dict[int, int] = {}
        self.granted: dict[int, int] = {}
        self.returned: dict[int, int] = {}
        self.asked: list[tuple[int, int]] = []
        self.extra = 0  # lent beyond the need, where there is money
        self.burns: list[int] = []
        self.connected = True
        self.unsure = False
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.before_answer: Callable[[], object] | None = None

    def give_back(self, *, wallet_id: int, returned: int) -> None:
        more = returned - self.returned.get(wallet_id, 0)
        if more > 0:
            self.returned[wallet_id] = returned
            self.balances[wallet_id] = self.balances.get(wallet_id, 0) + more

    async def borrow(self, *, wallet_id: int, need: int, burn: int, granted: int, returned: int) -> Lent:
        assert need > 0, "nobody asks for nothing"
        self.asked.append((wallet_id, need))
        self.burns.append(burn)
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.give_back(wallet_id=wallet_id, returned=returned)
        free = self.balances.get(wallet_id, 0)
        if need > free:
            return Lent(wallet_id, self.granted.get(wallet_id, 0), need - free, self.unsure)
        lent = min(free, need + self.extra)
        self.balances[wallet_id] = free - lent
        self.granted[wallet_id] = self.granted.get(wallet_id, 0) + lent
        answer = Lent(wallet_id, self.granted[wallet_id])
        if self.purse is not None:
            self.purse.lent(answer)
        if self.before_answer is not None:
            self.before_answer()
        return answer


class FailingDisk(Disk):
    """A disk that fails when told to; otherwise the real one."""

    def __init__(self) -> None:
        self.full = False
        self.write_fault: str | None = None  # eio · short
        self.sync_fails = False
        self.syncs = 0
        self.created: list[Path] = []

    def create(self, path: Path, size: int) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.created.append(path)
        return super().create(path, size)

    def write(self, fd: int, data: bytes, at: int) -> int:
        if self.write_fault == "eio":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.write_fault == "short":
            return super().write(fd, data[: len(data) // 2], at)
        return super().write(fd, data, at)

    def sync(self, fd: int) -> None:
        if self.sync_fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.syncs += 1
        super().sync(fd)

    def mend(self, fd: int, length: int, size: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().mend(fd, length, size)


class Vault:
    """An intake that keeps the records, in order, once."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}
        self.positions: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.away = False
        self.stuck = False
        self.refused: set[str] = set()
        self.pieces: list[int] = []
        self.broken: Exception | None = None

    async def send_records(self, *, journal: str, offset: int, data: bytes) -> int:
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        if self.away or journal in self.refused:
            raise MoneyUnavailable("away")
        self.pieces.append(len(data))
        position = self.positions.get(journal, 0)
        if self.stuck:
            return position
        assert offset <= position, "no gap"
        found = list(read_records(data))
        assert not data or found[-1][1] == len(data), "whole records only"
        for record, end in found:
            if offset + end > position:
                self.records.setdefault(journal, []).append(record)
                self.positions[journal] = position = offset + end
        return position

    async def end_journal(self, *, journal: str, offset: int) -> int:
        await asyncio.sleep(0)
        if self.away:
            raise MoneyUnavailable("away")
        assert offset == self.positions.get(journal, 0)
        self.ended[journal] = offset
        return offset


def opened(number: int = 1, *, hold: int = 100, wallet_id: int = 7, model: str = "m") -> Opened:
    return Opened(f"req_{number}", 1, wallet_id, 2, 3, model, "chat", False, 1, 1_000_000, hold)


def closed(number: int = 1, *, charge: int = 40) -> Closed:
    return Closed(f"req_{number}", 2, "ok", Usage(input=1, output=2), charge, estimated=False)


async def until(true: Callable[[], bool], *, within_s: float = 10) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.002)


def run(scenario: Awaitable[None]) -> None:
    async def main() -> None:
        await scenario

    asyncio.run(main())
