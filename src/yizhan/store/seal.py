"""Sealing what must be read again (channel keys), and hashing what must not (callers' keys)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealBroken(Exception):
    """What was sealed cannot be opened: another key sealed it, or it was changed; or the key itself is unusable."""


class Seal:
    """The station's two secrets: the key that seals, and the pepper that keys the hash of callers' keys."""

    __slots__ = ("_cipher", "pepper")

    def __init__(self, *, key: bytes, pepper: bytes) -> None:
        self._cipher = AESGCM(key)
        self.pepper = pepper

    @classmethod
    def open(cls, home: Path, key_hex: str = "") -> Seal:
        """Read the secrets of this data folder, making them on first use (0600). ``key_hex`` takes the file's place.

        Raises SealBroken for a key that is not 32 bytes, OSError when the folder cannot be used.
        """
        folder = home / "secrets"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = _from_hex(key_hex) if key_hex else _secret(folder / "seal.key")
        return cls(key=key, pepper=_secret(folder / "pepper.key"))

    def seal(self, plain: bytes) -> bytes:
        """Encrypt and authenticate."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, _VERSION)

    def unseal(self, sealed: bytes) -> bytes:
        """Give back what was sealed; raises SealBroken."""
        nonce = sealed[1 : 1 + _NONCE_BYTES]
        try:
            if sealed[:1] != _VERSION:
                raise SealBroken("a sealed secret is of an unknown version")
            return self._cipher.decrypt(nonce, sealed[1 + _NONCE_BYTES :], _VERSION)
        except (InvalidTag, ValueError):
            raise SealBroken("a sealed secret cannot be opened: it was sealed with another key") from None

    def hash_key(self, secret: str) -> bytes:
        """Hash a caller's key with the pepper; the same everywhere in the station."""
        return hashlib.blake2b(secret.encode(), digest_size=32, key=self.pepper).digest()


def _from_hex(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise SealBroken("seal_key must be 64 hexadecimal digits")
    return key


def _secret(path: Path) -> bytes:
    """Read a secret, making it first where there is none. Two processes that start at once end up with the same one."""
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-") as fresh:  # mode 0600
            fresh.write(os.urandom(_KEY_BYTES))
            fresh.flush()
            os.fsync(fresh.fileno())
            try:
                os.link(fresh.name, path)  # unlike a rename, this never replaces what another process made
            except FileExistsError:
                pass
        _sync_folder(path.parent)
    secret = path.read_bytes()
    if len(secret) != _KEY_BYTES:
        raise SealBroken(f"{path} is not a key of {_KEY_BYTES} bytes")
    return secret


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
