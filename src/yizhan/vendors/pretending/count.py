"""The pretend vendor's own count of what it did, for whoever wants to compare it with a bill."""

from __future__ import annotations

import msgspec

REQUESTS_MAX = 200_000


class Account(msgspec.Struct):
    """All that happened under one id. A relay that tries twice shows as ``started`` 2."""

    started: int = 0  # requests read and begun
    failed: int = 0  # answered with an error status
    finished: int = 0  # terminal bytes written
    broken: int = 0  # ended short by a fault that was ordered
    abandoned: int = 0  # the other side left before the end
    prompt_tokens: int = 0  # what would be billed for what was begun
    completion_tokens: int = 0
    tokens_sent: int = 0  # tokens of the answer written so far
    model: str = ""


class Count:
    """Accounts by request id, and their sum. Bounded: later ids only enter the sum, and ``left_off`` says so."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again from nothing."""
        self.total = Account()
        self.requests: dict[str, Account] = {}
        self.left_off = 0
        self.connections = 0

    def account(self, name: str) -> Account:
        """Find or open the account of an id."""
        found = self.requests.get(name)
        if found is None:
            found = Account()
            if len(self.requests) < REQUESTS_MAX:
                self.requests[name] = found
            else:
                self.left_off += 1
        return found

    def add(self, account: Account, field: str, amount: int = 1) -> None:
        """Count something in one account and in the sum."""
        for each in (account, self.total):
            setattr(each, field, getattr(each, field) + amount)

    def report(self, *, requests: bool) -> bytes:
        """Encode the count as JSON, with or without the single accounts."""
        said: dict[str, object] = {
            "total": self.total,
            "connections": self.connections,
            "ids": len(self.requests),
            "left_off": self.left_off,
        }
        if requests:
            said["requests"] = self.requests
        return msgspec.json.encode(said)
