"""A whole town for tests: real books in SQLite, the link's server, and gateways with all they own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert, select, update

from yizhan.billing.books import DatabaseBooks
from yizhan.billing.ledger import open_wallet, topup
from yizhan.billing.verify import verify
from yizhan.clock import SystemClock
from yizhan.link.client import LinkClient
from yizhan.link.server import LinkServer
from yizhan.money import Money
from yizhan.protocols.usage import Usage
from yizhan.purse.journal import Journal
from yizhan.purse.keyring import KeyRing
from yizhan.purse.purse import Purse
from yizhan.purse.records import Closed, Opened
from yizhan.purse.shipping import Shipper
from yizhan.purse.tally import Tally
from yizhan.store import changes, tables
from yizhan.store.engine import Database, migrate
from yizhan.store.seal import Seal

CLOCK = SystemClock()


class Gateway:
    """What a gateway process has of money, and how it speaks of it."""

    def __init__(self, town: Town, name: str, *, timeout_s: float = 5) -> None:
        self.name = name
        self.link = LinkClient(
            address=town.address, gateway=name, journal=f"{name}-1", secret=town.secret, timeout_s=timeout_s
        )
        self.purse = Purse(self.link, clock=CLOCK)
        self.keyring = KeyRing(self.link, clock=CLOCK, keys_max=1000, unknown_s=10)
        self.link.attach(purse=self.purse, keyring=self.keyring)
        self.journal = Journal.open(town.folder / "journal", f"{name}-1", segment_bytes=1 << 20)
        self.shipper = Shipper(self.journal, self.link)

    async def start(self) -> None:
        await self.link.start()
        self.journal.start(sync_s=0.05)
        self.shipper.start()

    async def stop(self) -> None:
        await self.journal.stop()
        await self.shipper.stop(within_s=5)
        await self.link.stop()

    async def die(self) -> None:
        """Leave as a process that is killed: nothing is said, the lock is gone, the journal stays."""
        for task in self.shipper._tasks:
            task.cancel()
        await self.link.stop()
        await self.journal.stop()
        self.journal.release(delete=False)

    async def begin(self, request_id: str, wallet_id: int, price: Money) -> Tally:
        await self.purse.hold(wallet_id, price)
        opened = Opened(request_id, CLOCK.now_ms(), wallet_id, 1, 1, "m", "chat", False, 0, 1_000_000, int(price))
        return Tally.open(self.purse, self.journal, CLOCK, opened)

    async def buy(self, request_id: str, wallet_id: int, price: Money) -> None:
        """One whole request."""
        tally = await self.begin(request_id, wallet_id, price)
        tally.settle(end_of(request_id, price))


class Town:
    """The control plane's half."""

    def __init__(self, folder: Path, *, tcp: bool = False) -> None:
        self.folder = folder
        self.secret = "between us" if tcp else ""
        self.address = "tcp:127.0.0.1:0" if tcp else f"unix:{folder / 'run' / 'link.sock'}"
        url = f"sqlite:///{folder / 'yizhan.db'}"
        migrate(url)
        self.database = Database(url)
        self.seal = Seal.open(folder)
        self.books = DatabaseBooks(self.database, self.seal, clock=CLOCK, share_ppm=100_000)
        self.server = self.open()

    def open(self, **options: float) -> LinkServer:
        """Begin to listen, again after ``server.stop``."""
        self.server = LinkServer(self.books, address=self.address, secret=self.secret, **options)
        self.server.start()
        if self.secret:
            self.address = f"tcp:127.0.0.1:{self.server.port}"
        return self.server

    def close(self) -> None:
        self.server.stop()
        self.database.close()

    def add_user(self, name: str, *, usd: str = "0") -> int:
        """Add a user with a wallet; gives the wallet's id."""
        with self.database.write() as c:
            query = insert(tables.users).values(name=name, created_ms=0).returning(tables.users.c.id)
            user_id = c.execute(query).scalar_one()
            wallet_id = open_wallet(c, user_id=user_id, now_ms=0)
        if usd != "0":
            self.credit(wallet_id, usd)
        return wallet_id

    def credit(self, wallet_id: int, usd: str) -> None:
        with self.database.write() as c:
            topup(
                c,
                wallet_id=wallet_id,
                amount=Money.from_usd(usd),
                source="payment",
                actor="test",
                reference=None,
                now_ms=CLOCK.now_ms(),
            )

    def add_key(self, secret: str, wallet_id: int) -> bytes:
        key_hash = self.seal.hash_key(secret)
        with self.database.write() as c:
            row = c.execute(select(tables.wallets.c.user_id).where(tables.wallets.c.id == wallet_id)).one()
            c.execute(
                insert(tables.keys).values(
                    user_id=row.user_id, wallet_id=wallet_id, title="", key_hash=key_hash, tail="", created_ms=0
                )
            )
            changes.announce(c, kind="key", key=key_hash.hex(), now_ms=0)
        return key_hash

    def set_key(self, key_hash: bytes, *, status: str) -> None:
        with self.database.write() as c:
            c.execute(update(tables.keys).where(tables.keys.c.key_hash == key_hash).values(status=status))
            changes.announce(c, kind="key", key=key_hash.hex(), now_ms=0)

    def add_model(self, name: str) -> None:
        with self.database.write() as c:
            c.execute(insert(tables.models).values(name=name))
            changes.announce(c, kind="model", key=name, now_ms=0)

    def wallet(self, wallet_id: int) -> tuple[int, int]:
        """Tell a wallet's balance and how much of it is lent."""
        with self.database.read() as c:
            row = c.execute(select(tables.wallets).where(tables.wallets.c.id == wallet_id)).one()
        return row.balance, row.leased

    def usage(self) -> dict[str, tuple[str, int]]:
        """List what was booked: request id → status, charge."""
        with self.database.read() as c:
            return {row.request_id: (row.status, row.charge) for row in c.execute(select(tables.usage))}


@contextmanager
def a_town(*, tcp: bool = False) -> Iterator[Town]:
    """Make a town in a folder with a short name: a socket's path is limited to 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="town-"))
    town = Town(folder, tcp=tcp)
    try:
        yield town
        with town.database.read() as c:
            report = verify(c)
        assert report.ok, report.reasons
    finally:
        town.close()
        shutil.rmtree(folder)


def end_of(request_id: str, charge: Money, *, status: str = "ok") -> Closed:
    return Closed(request_id, CLOCK.now_ms(), status, Usage(), int(charge), estimated=False)
