"""``yizhan backup FILE`` and ``restore FILE``: database, journals and secrets in one archive.

A backup may be made while the station runs, and so order is all: the database is copied first and the journals after
it. What the copy lacks is then in a journal, and what is in both is taken in once, for intake knows what it has. A
journal file is deleted when it was taken in, maybe between the two: so the files are linked into a folder of ours
before the copy begins, and again and again until it is done, and stay readable there.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import msgspec

from yizhan.config import Settings
from yizhan.home import PLANES, Refused, locked, open_home

_DATABASE = "yizhan.db"
_FORMAT = "yizhan-backup"
_VERSION = 1
_LINK_EVERY_S = 0.02  # a segment is filled, taken in and deleted in no less than some tenths of a second
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)")
_MEMBER = re.compile(r"yizhan\.db|(?:journal|secrets)/[\w.-]+")


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """What went into an archive, or came out of it. ``note`` tells the operator what is left to do."""

    file: str
    database: bool
    journals: int
    secrets: int
    note: str = ""


def backup(settings: Settings, file: Path) -> Archived:
    """Write the archive, for its owner alone; an older file of that name is replaced when the new one is whole."""
    home = open_home(settings)
    database = _sqlite_path(settings)
    partial = file.with_name(f".{file.name}.partial")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=home) as scratch:
            gathered = Path(scratch)
            (gathered / "journal").mkdir()
            _copy(home, gathered, database)
            members = [*_files(gathered), *_files(home / "secrets", "secrets/")]
            _write(partial, members)
            os.replace(partial, file)  # noqa: PTH105 - the atomic one, said plainly
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise Refused(f"the backup could not be written: {error}") from None
    note = "" if database else "the database is on a server: archive it with pg_dump, before each run of this command"
    return _archived(file, [name for name, _ in members], note)


def restore(settings: Settings, file: Path, *, force: bool = False) -> Archived:
    """Put an archive into the data folder. Refused where a station runs, or where data lies and ``force`` is off."""
    home = open_home(settings)
    database = _sqlite_path(settings)
    with locked(home, PLANES):
        held = [path for path in (database, home / "journal", home / "secrets") if path and _holds_data(path)]
        if held and not force:
            raise Refused(f"there is data at {held[0]}; --force replaces it with the backup's")
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as scratch:
            unpacked = Path(scratch)
            names = _unpack(file, unpacked)
            if database and _DATABASE not in names:
                raise Refused(f"{file} holds no database; it was made where the database is on a server")
            _put_in_place(unpacked, home, database)
    note = "" if database else "the database is on a server: restore it with pg_restore before the station starts"
    return _archived(file, names, note)


def _sqlite_path(settings: Settings) -> Path | None:
    found = _SQLITE.fullmatch(settings.database.partition("?")[0])
    return Path(found["path"]) if found else None


def _copy(home: Path, gathered: Path, database: Path | None) -> None:
    """Copy the database, holding on to every journal file there is meanwhile."""
    _link_journals(home, gathered)
    if database is None:
        return
    if not database.exists():
        raise Refused(f"there is no database at {database}")
    with ThreadPoolExecutor(1) as pool:
        copying = pool.submit(_copy_database, database, gathered / _DATABASE)
        while wait([copying], _LINK_EVERY_S).not_done:
            _link_journals(home, gathered)
        copying.result()
    _link_journals(home, gathered)
    _fill_gaps(home, gathered)


def _copy_database(source: Path, target: Path) -> None:
    reading, writing = sqlite3.connect(source, timeout=30), sqlite3.connect(target)
    try:
        reading.backup(writing)  # one step: one snapshot, writers go on
        writing.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
    finally:
        reading.close()
        writing.close()


def _link_journals(home: Path, gathered: Path) -> None:
    for segment in (home / "journal").iterdir():
        _link(segment, gathered)


def _link(segment: Path, gathered: Path) -> None:
    link = gathered / "journal" / segment.name
    with suppress(FileExistsError, FileNotFoundError):  # linked before; or taken in and deleted since it was listed
        link.hardlink_to(segment)


def _fill_gaps(home: Path, gathered: Path) -> None:
    """Link the segments that lie between others: a folder that grows may be listed without its last but one."""
    numbers: dict[str, set[int]] = {}
    for link in (gathered / "journal").iterdir():
        name, _, number = link.name.rpartition(".")
        if number.isdigit():
            numbers.setdefault(name, set()).add(int(number))
    for name, found in numbers.items():
        for missing in set(range(min(found), max(found))) - found:
            _link(home / "journal" / f"{name}.{missing:06d}", gathered)


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield prefix + path.relative_to(folder).as_posix(), path


def _write(partial: Path, members: list[tuple[str, Path]]) -> None:
    partial.unlink(missing_ok=True)
    number = os.open(partial, _NEW, 0o600)
    with os.fdopen(number, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as archive:  # reserved space is zeros: they shrink
            _add_marker(archive)
            for name, path in members:
                with path.open("rb") as content:
                    entry = tarfile.TarInfo(name)
                    entry.mode = 0o600
                    entry.size = os.fstat(content.fileno()).st_size
                    archive.addfile(entry, content)
        raw.flush()
        os.fsync(raw.fileno())


def _add_marker(archive: tarfile.TarFile) -> None:
    content = msgspec.json.encode({"format": _FORMAT, "version": _VERSION})
    entry = tarfile.TarInfo(_FORMAT)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _unpack(file: Path, into: Path) -> list[str]:
    """Unpack the members whose names are ours; anything else in there means that it is no backup of a station."""
    names: list[str] = []
    marked = False  # the marker is the first member
    for name in ("journal", "secrets"):
        (into / name).mkdir()
    try:
        with tarfile.open(file, "r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if member.name == _FORMAT and content:
                    _check_marker(file, content.read(1024))
                    marked = True
                elif content and marked and _MEMBER.fullmatch(member.name):
                    with os.fdopen(os.open(into / member.name, _NEW, 0o600), "wb") as target:
                        shutil.copyfileobj(content, target)
                    names.append(member.name)
                else:
                    raise Refused(f"{file} is no backup of a station: it holds {member.name!r}")
    except (OSError, EOFError, tarfile.TarError) as error:
        raise Refused(f"{file} cannot be read as a backup: {error}") from None
    return names


def _check_marker(file: Path, content: bytes) -> None:
    try:
        found = msgspec.json.decode(content, type=dict[str, str | int])
    except msgspec.MsgspecError:
        found = {}
    if found != {"format": _FORMAT, "version": _VERSION}:
        raise Refused(f"{file} was made by a version of the station that this one cannot read")


def _put_in_place(unpacked: Path, home: Path, database: Path | None) -> None:
    if database:
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        database.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(unpacked / _DATABASE, database)
    for name in ("journal", "secrets"):
        shutil.rmtree(home / name)
        (unpacked / name).chmod(0o700)
        (unpacked / name).rename(home / name)


def _holds_data(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _archived(file: Path, names: list[str], note: str) -> Archived:
    return Archived(
        file=str(file),
        database=_DATABASE in names,
        journals=sum(name.startswith("journal/") for name in names),
        secrets=sum(name.startswith("secrets/") for name in names),
        note=note,
    )
