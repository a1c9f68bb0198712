"""What a journal asks of the disk; tests put one that fails in its place."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """The machine's own disk. All but ``write`` may block, so they run in the journal's thread."""

    __slots__ = ()

    def create(self, path: Path, size: int) -> int:
        """Make a file with all its space reserved; nothing is left behind when that fails."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        self.sync_folder(path.parent)
        return fd

    def write(self, fd: int, data: bytes, at: int) -> int:
        """Write into reserved space; returns how many bytes went."""
        return os.pwrite(fd, data, at)

    def sync(self, fd: int) -> None:
        """Bring what was written to the disk."""
        os.fdatasync(fd)

    def mend(self, fd: int, length: int, size: int) -> None:
        """Cut what lies beyond ``length`` and reserve the space again."""
        os.ftruncate(fd, length)
        os.posix_fallocate(fd, 0, size)

    def sync_folder(self, folder: Path) -> None:
        """Bring a new file's name to the disk."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
