"""Secrets people hold: keys, session tokens, passwords. Made here from the machine's randomness, never kept plain."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Random = Callable[[int], bytes]

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FAIR = 256 - 256 % len(_LETTERS)  # bytes from here on would make the first letters likelier


def letters(count: int, random: Random) -> str:
    """Draw so many letters and digits, each equally likely."""
    drawn = ""
    while len(drawn) < count:
        drawn += "".join(_LETTERS[byte % len(_LETTERS)] for byte in random(count * 2) if byte < _FAIR)
    return drawn[:count]


def new_key(random: Random) -> str:
    """Make an API key: ``sk-`` and 48 letters, 285 bits."""
    return "sk-" + letters(48, random)


def new_session(random: Random) -> str:
    """Make a session token."""
    return "ys-" + letters(43, random)


def operator_token(home: Path, random: Random = os.urandom) -> str:
    """Read the token of whoever owns the data folder; made on first use, readable by that account alone."""
    path = home / "secrets" / "operator.token"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write("yo-" + letters(43, random) + "\n")
    return path.read_text().strip()
