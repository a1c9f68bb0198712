"""Many keys at once, for the probe of keys never seen before: the command line would take an hour."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from yizhan.store.seal import Seal


def plant(home: Path, *, count: int, like: str) -> list[str]:
    """Write ``count`` keys beside an existing one, same owner, wallet and length, into a station that does not run."""
    seal = Seal.open(home)
    made = ["sk-" + secrets.token_hex(len(like))[: len(like) - 3] for _ in range(count)]
    database = sqlite3.connect(home / "yizhan.db")
    try:
        names = [row[1] for row in database.execute("PRAGMA table_info(keys)") if row[1] != "id"]
        chosen = ", ".join("?" if name == "key_hash" else name for name in names)
        copy = f"INSERT INTO keys ({', '.join(names)}) SELECT {chosen} FROM keys WHERE key_hash = ?"
        with database:
            database.executemany(copy, [(seal.hash_key(key), seal.hash_key(like)) for key in made])
        written = database.execute("SELECT count(*) FROM keys").fetchone()[0]
    finally:
        database.close()
    assert written > count, "the key to copy is not there"
    return made
