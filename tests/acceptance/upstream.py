"""The pretend vendor in a process of its own: the upstream that survives whatever happens to the station."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from tests.acceptance.station import Row


class Upstream:
    """A running pretend vendor, its orders and its own count."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = f"{url}/v1"
        self._http = httpx.Client(base_url=url, timeout=20)

    def order(self, **orders: Any) -> None:
        """Set orders, see ``vendors/pretending/script.py``."""
        self._http.post("/_pretend/script", json=orders).raise_for_status()

    def reset(self) -> None:
        """Forget orders and count."""
        self._http.post("/_pretend/reset").raise_for_status()

    def count(self) -> Row:
        """Read what it did, in all and by request id."""
        found: Row = self._http.get("/_pretend/count").json()
        return found

    def seen(self, marker: str) -> Row | None:
        """Read what it did under one id, None where it never heard of it."""
        found: Row | None = self.count()["requests"].get(marker)
        return found

    def close(self) -> None:
        self._http.close()


@contextmanager
def pretending(*options: str) -> Iterator[Upstream]:
    """Have a pretend vendor running for a while, with options of its command line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "yizhan.vendors.pretend", *options],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    upstream = Upstream(json.loads(process.stdout.readline())["url"])
    try:
        yield upstream
    finally:
        upstream.close()
        process.terminate()
        process.wait(10)
        process.stdout.close()
