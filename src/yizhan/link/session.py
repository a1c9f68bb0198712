"""One gateway's connection, as the control plane sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from yizhan.link import messages as m
from yizhan.link.frames import frame

UNREAD_MAX = 128 * 1024 * 1024  # a gateway that reads so little is cut off; two snapshots fit


class Session:
    """Sends, and pairs our questions with their answers. ``seq`` is what the gateway's catalog will be at."""

    def __init__(self, writer: asyncio.StreamWriter, *, gateway: str, journal: str) -> None:
        self.gateway = gateway
        self.journal = journal
        self.seq = 0
        self.tasks: set[asyncio.Task[None]] = set()  # what it asked and we still work on
        self._writer = writer
        self._asked: dict[int, asyncio.Future[m.FromGateway | None]] = {}
        self._n = 0

    def send(self, data: bytes) -> None:
        """Write a frame without waiting; a gateway that does not read is hung up on."""
        if self._writer.transport.get_write_buffer_size() > UNREAD_MAX:
            self.hang_up()
        elif not self._writer.is_closing():
            self._writer.write(data)

    def ask(self, question: Callable[[int], m.FromControl]) -> asyncio.Future[m.FromGateway | None]:
        """Ask; the answer is None when the gateway hangs up first."""
        self._n += 1
        n = self._n
        answered = self._asked[n] = asyncio.get_running_loop().create_future()
        answered.add_done_callback(lambda _: self._asked.pop(n))
        self.send(frame(question(n)))
        return answered

    def answered(self, n: int, message: m.FromGateway) -> None:
        """Hand an answer to whoever asked, if they still wait."""
        answered = self._asked.get(n)
        if answered is not None and not answered.done():
            answered.set_result(message)

    def hang_up(self) -> None:
        """Close; what was sent before still arrives."""
        self._writer.close()
        for answered in list(self._asked.values()):
            if not answered.done():
                answered.set_result(None)
        for task in self.tasks:
            task.cancel()
