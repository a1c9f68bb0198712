"""The data folder: who may use it, and where things lie in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yizhan.config import Settings

PLANES = ("control", "gateway")
_SOCKET_PATH_MAX = 107  # the kernel's bound on the path of a unix socket


class Refused(Exception):
    """The station cannot start, or the folder cannot be touched; ``str(error)`` is one line that says why."""


def planes(settings: Settings) -> tuple[str, ...]:
    """Name the planes that the role asks for."""
    return PLANES if settings.role == "all" else (settings.role,)


def open_home(settings: Settings) -> Path:
    """Make the data folder, for its owner alone, and see that it can be used. Raises Refused."""
    home = settings.home_path
    if len(os.fsencode(home.resolve() / "run" / "control.sock")) > _SOCKET_PATH_MAX:
        raise Refused(f"the path of the data folder {home} is too long for the sockets in it; choose a shorter one")
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("run", "journal", "secrets"):
            (home / name).mkdir(mode=0o700, exist_ok=True)
        probe = home / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
        next(home.iterdir())
    except OSError as error:
        raise Refused(f"the data folder {home} cannot be used: {error.strerror}") from None
    return home


@contextmanager
def locked(home: Path, names: tuple[str, ...]) -> Iterator[None]:
    """Hold one lock a plane on the folder; another process has it → Refused. The kernel frees them with the process."""
    held: list[int] = []
    try:
        for name in names:
            number = os.open(home / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.append(number)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Refused(f"the data folder {home} is in use: a station ({name}) is running on it") from None
        yield
    except PermissionError as error:
        raise Refused(f"the data folder {home} cannot be used: {error.strerror}") from None
    finally:
        for number in held:
            os.close(number)
