"""The keys a gateway knows: by keyed hash, bounded, asked for once.

Trouble is never remembered as an answer: while the control plane is away, known keys go on and others get a 503.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Generic, TypeVar

from yizhan.clock import Clock
from yizhan.errors import MoneyUnavailable, UnknownKey
from yizhan.purse.ports import KeyOffice, KeyRecord

SECRET_BYTES_MAX = 512  # ours are about 50 bytes
LOOKUPS_MAX = 512  # questions at once, so that a flood of invented keys cannot queue without end
TRIES = 3  # a key that changes under the question is asked for again
RETRY_S = 1

V = TypeVar("V")


class KeyRing:
    """Key records by secret. ``find`` suspends only for a key not seen lately."""

    def __init__(self, office: KeyOffice, *, clock: Clock, keys_max: int, unknown_s: float) -> None:
        self._office = office
        self._clock = clock
        self._unknown_s = unknown_s
        self._known: Recent[KeyRecord] = Recent(keys_max)
        self._unknown: Recent[float] = Recent(keys_max)  # until when it is refused without asking
        self._asked: dict[bytes, asyncio.Task[KeyRecord | None]] = {}
        self._stale: set[bytes] = set()  # of those asked for: changed meanwhile

    async def find(self, secret: bytes, *, need: int = 0) -> KeyRecord:
        """Find the record of a key; ``need`` nano-USD are borrowed along with a key not seen before.

        Raises UnknownKey, or MoneyUnavailable when nobody can say. Says nothing of the key's status.
        """
        key_hash = self._hash(secret)
        return self._known.get(key_hash) or await self._ask(key_hash, need)

    def known(self, secret: bytes) -> KeyRecord | None:
        """Find the record of a key seen lately, at once; None means ``find`` has to ask. Raises as ``find`` does."""
        return self._known.get(self._hash(secret))

    def _hash(self, secret: bytes) -> bytes:
        pepper = self._office.pepper
        if pepper is None:
            raise MoneyUnavailable("keys cannot be checked yet", retry_after_s=RETRY_S)
        if len(secret) > SECRET_BYTES_MAX:
            raise _unknown()
        return hashlib.blake2b(secret, digest_size=32, key=pepper).digest()

    def forget(self, key_hash: bytes) -> None:
        """Ask again for this key, known or unknown, when it comes next."""
        self._known.drop(key_hash)
        self._unknown.drop(key_hash)
        if key_hash in self._asked:
            self._stale.add(key_hash)

    def forget_all(self) -> None:
        """Ask again for every key: changes may have been missed."""
        self._known.clear()
        self._unknown.clear()
        self._stale.update(self._asked)

    async def _ask(self, key_hash: bytes, need: int) -> KeyRecord:
        until = self._unknown.get(key_hash)
        if until is not None and self._clock.monotonic() < until:
            raise _unknown()
        task = self._asked.get(key_hash)
        if task is None:
            if len(self._asked) >= LOOKUPS_MAX:
                raise MoneyUnavailable("too many unknown keys are being checked", retry_after_s=RETRY_S)
            task = asyncio.get_running_loop().create_task(self._look_up(key_hash, need), name="look up a key")
            self._asked[key_hash] = task
        record = await asyncio.shield(task)  # one caller who leaves does not fail the others
        if record is None:
            raise _unknown()
        return record

    async def _look_up(self, key_hash: bytes, need: int) -> KeyRecord | None:
        try:
            for _ in range(TRIES):
                self._stale.discard(key_hash)
                record = (await self._office.open_key(key_hash, need)).record
                if key_hash not in self._stale:
                    if record is None:
                        self._unknown.put(key_hash, self._clock.monotonic() + self._unknown_s)
                    else:
                        self._known.put(key_hash, record)
                    return record
            raise MoneyUnavailable("the key is being changed", retry_after_s=RETRY_S)
        finally:
            self._stale.discard(key_hash)
            del self._asked[key_hash]


class Recent(Generic[V]):
    """A bounded dict that keeps what was used lately: two halves, the older dropped when the newer is full.

    A hit costs one look-up, where a true LRU would move an entry each time.
    """

    __slots__ = ("_half", "_new", "_old")

    def __init__(self, entries_max: int) -> None:
        self._half = max(1, entries_max // 2)
        self._new: dict[bytes, V] = {}
        self._old: dict[bytes, V] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def get(self, key: bytes) -> V | None:
        """Look up, and keep what was found for longer."""
        value = self._new.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Remember."""
        if len(self._new) >= self._half:
            self._old, self._new = self._new, {}
        self._new[key] = value

    def drop(self, key: bytes) -> None:
        """Forget one."""
        self._new.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._new, self._old = {}, {}


def _unknown() -> UnknownKey:
    return UnknownKey("there is no such API key")
