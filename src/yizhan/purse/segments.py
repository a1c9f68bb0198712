"""A journal's files: ``<journal>.<number>``, each with a head that tells where in the journal it begins.

Positions count the records' bytes only and run on over all segments. ``<journal>.lock`` is locked for as long as the
journal's writer lives; whoever can lock it may take the journal over.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import zlib
from pathlib import Path

import msgspec

from yizhan.purse.frames import HEAD, RECORD_BYTES_MAX

START = struct.Struct("<8sQ")
MAGIC = b"yizhan-j"
_NAME = re.compile(r"(?P<journal>.+)\.(?P<number>\d{6})")


class Damaged(Exception):
    """A journal of which a piece in the middle is missing. It is left as it is, for a person to look at."""


class Segment(msgspec.Struct, frozen=True):
    """One file of a journal; ``start`` is the position of its first record."""

    path: Path
    start: int


def path_of(folder: Path, journal: str, number: int) -> Path:
    """Name a segment's file."""
    return folder / f"{journal}.{number:06d}"


def lock_path(folder: Path, journal: str) -> Path:
    """Name the file that a journal's writer keeps locked."""
    return folder / f"{journal}.lock"


def locked(folder: Path, journal: str) -> int | None:
    """Lock a journal; returns the descriptor that holds the lock, or None where its writer lives."""
    fd = os.open(lock_path(folder, journal), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def journals(folder: Path) -> list[str]:
    """List the journals that have a file here."""
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted({match["journal"] for match in found if match})


def listed(folder: Path, journal: str) -> list[Segment]:
    """List a journal's segments in order. One whose head was never written was only reserved, and holds nothing."""
    found = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match and match["journal"] == journal:
            with path.open("rb") as file:
                head = file.read(START.size)
            if len(head) == START.size and head[:8] == MAGIC:
                found.append(Segment(path, START.unpack(head)[1]))
    return found


def read(segments: list[Segment], position: int, limit: int) -> bytes:
    """Read whole records from ``position`` on, at most ``limit`` bytes of one segment; nothing means the end.

    Raises Damaged where records before the next segment's start are missing.
    """
    assert limit >= HEAD.size + RECORD_BYTES_MAX, "a piece must have room for one record"
    for index, segment in enumerate(segments):
        last = index + 1 == len(segments)
        if position < segment.start:
            raise Damaged(f"{segment.path.name} begins at {segment.start}; what lies between it and {position} is gone")
        if not last and position >= segments[index + 1].start:
            continue
        data = _read_file(segment.path, START.size + position - segment.start, limit)
        end = _whole(data)
        if not end and not last:
            raise Damaged(f"{segment.path.name} cannot be read from position {position} on")
        return data[:end]
    return b""


def _read_file(path: Path, at: int, limit: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), limit, at)


def _whole(data: bytes) -> int:
    """Say where the last whole record ends."""
    view, at = memoryview(data), 0
    while at + HEAD.size <= len(data):
        length, crc = HEAD.unpack_from(data, at)
        after = at + HEAD.size + length
        if not 0 < length <= RECORD_BYTES_MAX or after > len(data) or zlib.crc32(view[at + HEAD.size : after]) != crc:
            break
        at = after
    return at
