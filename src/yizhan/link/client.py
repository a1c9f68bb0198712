"""The gateway's end of the link: the catalog kept fresh, and questions about keys, money and journals.

It connects for ever. While there is no connection every question raises MoneyUnavailable at once, and the gateway goes
on with the catalog, the keys and the leases it has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

import msgspec

from yizhan.catalog.snapshot import EMPTY, Catalog
from yizhan.errors import MoneyUnavailable
from yizhan.link import messages as m
from yizhan.link.frames import READ_AHEAD, LinkBroken, address_of, frame, read_frame
from yizhan.link.parts import joined
from yizhan.purse.keyring import KeyRing
from yizhan.purse.purse import Purse

BACKOFF_FIRST_S = 0.05
BACKOFF_LAST_S = 1.0  # a control plane that restarts is found again within a second
TRIES_A_WARNING = 10
RETRY_S = 1  # what a refused caller is told to wait

log = logging.getLogger(__name__)
A = TypeVar("A", bound=msgspec.Struct)
_decoder: msgspec.msgpack.Decoder[m.FromControl] = msgspec.msgpack.Decoder(m.FromControl)


class LinkClient:
    """One gateway process's link. ``catalog`` is replaced as a whole; a request keeps the one it began with."""

    def __init__(self, *, address: str, gateway: str, journal: str, secret: str, timeout_s: float) -> None:
        self._path, self._host = address_of(address)
        self._gateway = gateway
        self._journal = journal
        self._secret = secret
        self._timeout_s = timeout_s
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[m.FromControl]] = {}
        self._n = 0
        self._task: asyncio.Task[None] | None = None
        self.catalog = Catalog(EMPTY)
        self.pepper: bytes | None = None
        self.ready = False  # has a catalog; stays so while the control plane is away
        self.connected = False
        self.on_keys_forgotten: Callable[[tuple[bytes, ...] | None], None] = _ignore  # None: all
        self.on_wallets_credited: Callable[[tuple[int, ...] | None], None] = _ignore  # None: all
        self.on_recall: Callable[[int], int] = _nothing  # wallet → total given back
        self.on_lent: Callable[[m.Lent], None] = _ignore  # before anything that was said later is looked at
        self.on_connected: Callable[[], None] = _silent
        self.figures: Callable[[], str] = str

    def attach(self, *, purse: Purse, keyring: KeyRing) -> None:
        """Tell these what the control plane says."""

        def keys_forgotten(hashes: tuple[bytes, ...] | None) -> None:
            if hashes is None:
                keyring.forget_all()
            else:
                for key_hash in hashes:
                    keyring.forget(key_hash)

        def wallets_credited(wallets: tuple[int, ...] | None) -> None:
            for wallet_id in (None,) if wallets is None else wallets:
                purse.credited(wallet_id)

        self.on_keys_forgotten = keys_forgotten
        self.on_wallets_credited = wallets_credited
        self.on_recall = purse.recalled
        self.on_lent = purse.lent
        self.on_connected = purse.reconnected

    async def start(self) -> None:
        """Begin to connect, in the background and for ever."""
        self._task = asyncio.get_running_loop().create_task(self._connect_for_ever(), name="link")

    async def stop(self) -> None:
        """Hang up; questions under way raise MoneyUnavailable."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def open_key(self, key_hash: bytes, need: int) -> m.KeyOpened:
        """Look a key up, and borrow along with it; raises MoneyUnavailable."""
        return await self._ask(m.KeyOpened, lambda n: m.OpenKey(n, key_hash, need))

    async def borrow(self, *, wallet_id: int, need: int, burn: int, granted: int, returned: int) -> m.Lent:
        """Ask for money; raises MoneyUnavailable."""
        return await self._ask(m.Lent, lambda n: m.Borrow(n, wallet_id, need, burn, granted, returned))

    def give_back(self, *, wallet_id: int, returned: int) -> None:
        """Tell the total given back; without a connection it goes nowhere."""
        self._send(m.Returned(0, wallet_id, returned))

    async def send_records(self, *, journal: str, offset: int, data: bytes) -> int:
        """Send a piece of a journal; returns the position before which all is booked. Raises MoneyUnavailable."""
        return (await self._ask(m.Taken, lambda n: m.Records(n, journal, offset, data))).offset

    async def end_journal(self, *, journal: str, offset: int) -> int:
        """End a journal whose writer is gone; raises MoneyUnavailable."""
        return (await self._ask(m.Taken, lambda n: m.JournalEnd(n, journal, offset))).offset

    # -- questions ----------------------------------------------------------------------------------------------------

    async def _ask(self, expected: type[A], question: Callable[[int], m.FromGateway]) -> A:
        if not self.connected:
            raise _unavailable()
        self._n += 1
        n = self._n
        answered = self._asked[n] = asyncio.get_running_loop().create_future()
        try:
            self._send(question(n))
            async with asyncio.timeout(self._timeout_s):
                answer = await answered
        except TimeoutError:
            log.warning("the control plane did not answer within %s s", self._timeout_s)
            raise _unavailable() from None
        finally:
            del self._asked[n]
        if not isinstance(answer, expected):
            log.warning("the control plane could not answer: %s", answer)
            raise _unavailable()
        return answer

    def _send(self, message: m.FromGateway) -> None:
        if self._writer is not None:
            self._writer.write(frame(message))

    # -- the connection -----------------------------------------------------------------------------------------------

    async def _connect_for_ever(self) -> None:
        pause = BACKOFF_FIRST_S
        failures = 0
        while True:
            try:
                await self._talk()
            except (OSError, LinkBroken, msgspec.MsgspecError) as error:
                failures = 0 if self.connected else failures + 1
                # A start or a restart takes a few tries; that is news only when it goes on, and then not each time.
                level = logging.WARNING if failures % TRIES_A_WARNING == TRIES_A_WARNING - 1 else logging.DEBUG
                log.log(level, "no link to the control plane: %s", error)
            except Exception:
                log.exception("the link broke by a fault of ours, and is made again")
            pause = BACKOFF_FIRST_S if self.connected else min(2 * pause, BACKOFF_LAST_S)
            self.connected = False
            await asyncio.sleep(pause)

    async def _talk(self) -> None:
        async with asyncio.timeout(self._timeout_s):
            if self._path is not None:
                reader, writer = await asyncio.open_unix_connection(self._path, limit=READ_AHEAD)
            else:
                reader, writer = await asyncio.open_connection(*self._host, limit=READ_AHEAD)
        self._writer = writer
        try:
            await self._greet(reader)
            while (data := await read_frame(reader)) is not None:
                self._heard(_decoder.decode(data))
            log.warning("the control plane hung up")
        finally:
            self._writer = None
            writer.close()
            for answered in self._asked.values():
                if not answered.done():
                    answered.set_exception(_unavailable())

    async def _greet(self, reader: asyncio.StreamReader) -> None:
        held = self.catalog.snapshot.seq if self.ready else 0
        self._send(m.Hello(self._gateway, self._journal, held, self._secret))
        async with asyncio.timeout(self._timeout_s):
            data = await read_frame(reader)
        welcome = None if data is None else _decoder.decode(data)
        if not isinstance(welcome, m.Welcome):
            reason = welcome.reason if isinstance(welcome, m.Trouble) else "it hung up"
            raise LinkBroken(f"the control plane does not welcome us: {reason}")
        if welcome.parts is not None:
            self.catalog = await asyncio.to_thread(joined, welcome.seq, welcome.parts)
            self.on_keys_forgotten(None)  # what changed since we last heard is not known
            self.on_wallets_credited(None)
        self.pepper = welcome.pepper
        self.ready = self.connected = True
        log.info("linked to the control plane")
        self.on_connected()

    def _heard(self, message: m.FromControl) -> None:
        match message:
            case m.Lent():
                self.on_lent(message)
                self._answered(message.n, message)
            case m.KeyOpened():
                if message.lent is not None:
                    self.on_lent(message.lent)
                self._answered(message.n, message)
            case m.Taken():
                self._answered(message.n, message)
            case m.Recall():
                self._send(m.Returned(message.n, message.wallet_id, self.on_recall(message.wallet_id)))
            case m.Delta():
                self._moved(message)
            case m.PullFigures():
                self._send(m.Figures(message.n, self.figures()))
            case m.Trouble():
                if message.n == 0:
                    raise LinkBroken(message.reason)
                self._answered(message.n, message)
            case m.Welcome():
                raise LinkBroken("welcomed twice")

    def _answered(self, n: int, message: m.FromControl) -> None:
        answered = self._asked.get(n)
        if answered is not None and not answered.done():
            answered.set_result(message)

    def _moved(self, delta: m.Delta) -> None:
        if delta.since != self.catalog.snapshot.seq:
            raise LinkBroken(f"a change from {delta.since} came while holding {self.catalog.snapshot.seq}")
        self.catalog = self.catalog.after(delta.seq, delta.changes)
        self.on_keys_forgotten(delta.key_hashes)
        self.on_wallets_credited(delta.wallets)


def _unavailable() -> MoneyUnavailable:
    return MoneyUnavailable("accounts cannot be checked right now", retry_after_s=RETRY_S)


def _ignore(_: object) -> None:
    pass


def _nothing(_: int) -> int:
    return 0


def _silent() -> None:
    pass
