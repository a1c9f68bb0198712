"""Passwords: argon2, a few at a time, and not endlessly often for one name."""

from __future__ import annotations

from anyio import CapacityLimiter, to_thread
from litestar.di import NamedDependency
from pwdlib import PasswordHash

from yizhan.clock import Clock
from yizhan.errors import TooManyAttempts

_HASHING = PasswordHash.recommended()
_AT_ONCE = 2  # each takes 64 MB and a core for some 50 ms
_FAILURES_MAX = 10
_WINDOW_S = 900.0
_NAMES_MAX = 10_000

SHORTEST = 8
LONGEST = 256


def hashed(password: str) -> str:
    """Hash a password for keeping; slow on purpose."""
    return _HASHING.hash(password)


class Doorkeeper:
    """Compares passwords, bounded in threads and in failures per name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._threads = CapacityLimiter(_AT_ONCE)
        self._failed: dict[str, list[float]] = {}
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """Hash a password on a thread."""
        return await to_thread.run_sync(hashed, password, limiter=self._threads)

    async def fits(self, name: str, *, password: str, password_hash: str | None) -> bool:
        """Say whether the password is the name's. Unknown names take as long as known ones.

        Raises TooManyAttempts after ten failures within a quarter of an hour.
        """
        since = self._clock.monotonic() - _WINDOW_S
        failures = [at for at in self._failed.get(name, []) if at > since]
        if len(failures) >= _FAILURES_MAX:
            raise TooManyAttempts("Too many failed sign-ins; try again later.", retry_after_s=int(_WINDOW_S))
        if not self._nobody:
            self._nobody = await self.hash("the password of nobody")
        known = password_hash or self._nobody
        right = await to_thread.run_sync(_HASHING.verify, password, known, limiter=self._threads)
        if right and password_hash is not None:
            self._failed.pop(name, None)
            return True
        while len(self._failed) >= _NAMES_MAX:
            del self._failed[next(iter(self._failed))]
        self._failed[name] = [*failures, self._clock.monotonic()]
        return False


GivenDoorkeeper = NamedDependency[Doorkeeper]
