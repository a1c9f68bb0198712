"""The file in which a gateway writes what it owes, before it acts on it.

``write`` is one ``pwrite`` into space reserved ahead: when it returns, the record survives the death of the process,
and within ``sync_s`` it is on the disk. Everything that may block happens in a thread of the journal's own.
When space cannot be reserved or a write fails, the journal is not healthy: new requests are refused, while those that
run keep the room set aside for closing them; a close that could not be written is kept and written on recovery.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from yizhan.errors import MoneyUnavailable
from yizhan.purse import segments
from yizhan.purse.disk import Disk
from yizhan.purse.frames import encode
from yizhan.purse.records import Closed, Opened, Record
from yizhan.purse.segments import Segment

CLOSE_BYTES = 512  # room set aside to close one running request; a close is about 150 bytes
RETRY_S = 1  # what a refused caller is told to wait

log = logging.getLogger(__name__)
T = TypeVar("T")


class Journal:
    """One process's journal. Everything but ``open`` belongs to the event loop."""

    def __init__(self, folder: Path, name: str, *, segment_bytes: int, disk: Disk, lock: int, fd: int) -> None:
        self.folder = folder
        self.name = name
        self.position = 0  # where the next record goes; whoever ships reads up to here
        self.running = 0  # requests opened and not closed
        self._disk = disk
        self._lock = lock
        self._size = segment_bytes
        self._segments = [Segment(segments.path_of(folder, name, 0), 0)]
        self._number = 0
        self._fd = fd
        self._at = segments.START.size  # in the current segment's file
        self._next: int | None = None
        self._retired: list[int] = []
        self._torn = False  # the tail may hold part of a record
        self._ill = False  # the disk failed us, and has not worked since
        self._closing = False
        self._backlog: list[bytes] = []
        self._written = False  # since the last sync
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, folder: Path, name: str, *, segment_bytes: int, disk: Disk | None = None) -> Journal:
        """Begin a journal of a name never used before; blocks. Raises OSError when there is no space for it."""
        disk = disk or Disk()
        folder.mkdir(parents=True, exist_ok=True)
        lock = segments.locked(folder, name)
        assert lock is not None, f"the journal {name} has a writer already"
        try:
            fd = disk.create(segments.path_of(folder, name, 0), segment_bytes)
            disk.write(fd, segments.START.pack(segments.MAGIC, 0), 0)
        except OSError:
            os.close(lock)
            segments.lock_path(folder, name).unlink()
            raise
        return cls(folder, name, segment_bytes=segment_bytes, disk=disk, lock=lock, fd=fd)

    @property
    def healthy(self) -> bool:
        """Whether new requests may begin."""
        if self._ill or self._closing:
            return False
        needed = (self.running + 1) * CLOSE_BYTES
        left = self._size - self._at - CLOSE_BYTES
        return left >= needed or self._room_after(CLOSE_BYTES) >= needed

    @property
    def files(self) -> list[Segment]:
        """The segments there are, oldest first."""
        return list(self._segments)

    def write(self, record: Record) -> None:
        """Append a record; raises MoneyUnavailable when it is not in the file.

        A ``Closed`` that could not be written is kept, and written as soon as it can be.
        """
        frame = encode(record)
        kind = type(record)
        if kind is Closed:
            self.running -= 1
        elif self._ill or self._closing or self._room_after(len(frame)) < (self.running + 1) * CLOSE_BYTES:
            self._wake.set()
            raise MoneyUnavailable("requests cannot be recorded right now", retry_after_s=RETRY_S)
        if not self._append(frame):
            if kind is Closed:
                self._backlog.append(frame)
            raise MoneyUnavailable("requests cannot be recorded right now", retry_after_s=RETRY_S)
        if kind is Opened:
            self.running += 1

    def start(self, *, sync_s: float) -> None:
        """Begin to sync and to reserve space ahead, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._tend(sync_s), name="journal")

    async def stop(self) -> None:
        """Take no more records and bring all of them to the disk. The files stay locked until ``release``."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._tended()

    async def drop_before(self, position: int) -> None:
        """Delete the segments all of whose records lie before ``position``; the current one stays."""
        taken = []
        while len(self._segments) > 1 and self._segments[1].start <= position:
            taken.append(self._segments.pop(0).path)
        if taken:
            await self.apart(lambda: _unlink(taken))

    def release(self, *, delete: bool) -> None:
        """Let go of the files: deleted when everything in them is booked, else left for another to take over."""
        spare = segments.path_of(self.folder, self.name, self._number + 1)
        for fd in [self._fd, *self._retired, *([] if self._next is None else [self._next])]:
            os.close(fd)
        if self._next is not None:
            spare.unlink()
        if delete:
            for segment in self._segments:
                segment.path.unlink()
            segments.lock_path(self.folder, self.name).unlink()
        os.close(self._lock)
        self._thread.shutdown()

    async def apart(self, work: Callable[[], T]) -> T:
        """Run what may block in the journal's thread, one piece of work after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # -- writing ------------------------------------------------------------------------------------------------------

    def _room_after(self, length: int) -> int:
        """Say how much reserved space a frame of this length leaves, not counting what a rotation wastes."""
        left = self._size - self._at - length
        if self._next is None:
            return left
        fresh = self._size - segments.START.size
        return left + fresh - CLOSE_BYTES if left >= 0 else fresh - length

    def _append(self, frame: bytes) -> bool:
        if self._torn:
            return False
        if self._at + len(frame) > self._size and not self._rotate():
            return False
        if not self._put(frame, self._at):
            return False
        self._at += len(frame)
        self.position += len(frame)
        self._written = True
        return True

    def _put(self, data: bytes, at: int) -> bool:
        try:
            went = self._disk.write(self._fd, data, at)
        except OSError as error:
            went = -1
            log.error("the journal %s cannot be written: %s", self.name, error)  # noqa: TRY400  (the errno says all)
        if went != len(data):
            self._torn = self._ill = True  # `_mend` cuts what may have been written of it
            self._wake.set()
            return False
        return True

    def _rotate(self) -> bool:
        if self._next is None:
            self._wake.set()
            return False
        self._retired.append(self._fd)
        self._fd, self._next = self._next, None
        self._number += 1
        self._at = segments.START.size
        self._segments.append(Segment(segments.path_of(self.folder, self.name, self._number), self.position))
        self._wake.set()
        return self._put(segments.START.pack(segments.MAGIC, self.position), 0)

    # -- apart from the loop ------------------------------------------------------------------------------------------

    async def _tend(self, sync_s: float) -> None:
        while not self._closing:
            if self._ill:
                await asyncio.sleep(sync_s)  # no use in asking the disk more often
            else:
                await self._woken(sync_s)
            await self._tended()

    async def _woken(self, within_s: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), within_s)
        except TimeoutError:
            pass

    async def _tended(self) -> None:
        self._wake.clear()
        try:
            if self._torn:
                await self._mend()
            await self._sync()
            if self._next is None and not self._closing and self._at * 2 > self._size:
                path = segments.path_of(self.folder, self.name, self._number + 1)
                self._next = await self.apart(lambda: self._disk.create(path, self._size))
            self._ill = False
            self._write_backlog()
        except OSError:
            self._ill = True
            log.exception("the journal %s waits for its disk", self.name)

    async def _mend(self) -> None:
        fd, at = self._fd, self._at
        await self.apart(lambda: self._disk.mend(fd, at, self._size))
        self._torn = False
        if at == segments.START.size:  # it may have been the head that was not written
            self._put(segments.START.pack(segments.MAGIC, self._segments[-1].start), 0)

    async def _sync(self) -> None:
        while self._retired:
            await self._synced(self._retired[0])
            os.close(self._retired.pop(0))
        if self._written:
            self._written = False
            try:
                await self._synced(self._fd)
            except OSError:
                self._written = True
                raise

    async def _synced(self, fd: int) -> None:
        await self.apart(lambda: self._disk.sync(fd))

    def _write_backlog(self) -> None:
        while self._backlog and self._append(self._backlog[0]):
            self._backlog.pop(0)


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()
