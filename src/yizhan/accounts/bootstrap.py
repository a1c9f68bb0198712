"""The first start: an owner, a key with some credit, a price book. Later starts find them and add nothing."""

from __future__ import annotations

import os

import msgspec
from sqlalchemy import Connection, select

from yizhan.accounts import keys, password, queries, secret
from yizhan.billing import ledger
from yizhan.catalog.entries import Price
from yizhan.channels import queries as channels
from yizhan.channels import service
from yizhan.clock import Clock
from yizhan.config import Settings
from yizhan.money import Money
from yizhan.prices import queries as prices
from yizhan.prices import seed
from yizhan.store import audit
from yizhan.store.catalog import price_in_force
from yizhan.store.engine import Database
from yizhan.store.seal import Seal
from yizhan.store.tables import channels as channels_table
from yizhan.store.tables import users, wallets

OWNER = "admin"
CREDIT = Money.from_usd("5")
DEMO_CHANNEL = "demo"
DEMO_CONTEXT_TOKENS = 2048
DEMO_INPUT = Money.from_usd("0.10")  # per million tokens; not what it costs, but enough to see the balance move
DEMO_OUTPUT = Money.from_usd("0.40")


class FirstRun(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets of the first start; they are kept nowhere in this form."""

    login: str
    password: str
    key: str


def bootstrap(
    database: Database, seal: Seal, settings: Settings, clock: Clock, random: secret.Random = os.urandom
) -> FirstRun | None:
    """Make what a station cannot be without; None where it has an owner already. Safe to run again after a crash."""
    secret.operator_token(settings.home_path, random)
    now_ms = clock.now_ms()
    with database.write() as connection:
        seed.seed(connection, now_ms=now_ms)
    with database.read() as connection:
        if connection.execute(select(users.c.id).where(users.c.role == "owner")).first() is not None:
            return None
    first = FirstRun(login=OWNER, password=secret.letters(20, random), key=secret.new_key(random))
    password_hash = password.hashed(first.password)  # 50 ms: before the transaction, not inside
    key_hash = seal.hash_key(first.key)
    with database.write() as connection:
        audit.write_down(
            connection, at_ms=now_ms, actor="operator", action="station.bootstrap", target=OWNER, detail=None
        )
        owner = queries.add_user(
            connection, name=OWNER, role="owner", password_hash=password_hash, group="default", now_ms=now_ms
        )
        wallet = connection.execute(select(wallets.c.id).where(wallets.c.user_id == owner)).scalar_one()
        ledger.topup(
            connection,
            wallet_id=wallet,
            amount=CREDIT,
            source="promotion",
            actor="operator",
            reference="bootstrap",
            memo="to begin with",
            now_ms=now_ms,
        )
        keys.add_key(connection, owner=OWNER, title="first key", key_hash=key_hash, tail=first.key[-4:], now_ms=now_ms)
    return first


def register_demo(connection: Connection, *, base_url: str, model: str, seal: Seal, now_ms: int) -> None:
    """Register the demo model under its address of this start; its price only where it has none yet."""
    fields = {
        "vendor": "openai-compatible",
        "base_url": base_url,
        "models": {model: model},
        "enabled": True,
    }
    known = connection.execute(select(channels_table.c.id).where(channels_table.c.name == DEMO_CHANNEL)).first()
    if known is None:
        sealed = service.sealed_keys(["demo"], seal)
        fields.update(name=DEMO_CHANNEL, keys_sealed=sealed, groups=["default"], note="the model in the box")
        channels.add_channel(connection, fields=fields, now_ms=now_ms)
    else:
        channels.set_channel(connection, DEMO_CHANNEL, fields=fields, now_ms=now_ms)
    limits = {"owned_by": "demo", "context_tokens": DEMO_CONTEXT_TOKENS, "output_tokens_max": DEMO_CONTEXT_TOKENS}
    prices.set_model(connection, model, fields=limits, now_ms=now_ms)
    if price_in_force(connection, model=model) is None:
        price = Price(version=0, model=model, input=int(DEMO_INPUT), output=int(DEMO_OUTPUT))
        prices.add_price(connection, price, source="demo", now_ms=now_ms)


def retire_demo(connection: Connection, *, now_ms: int) -> None:
    """Switch the demo channel off, for a start without the model."""
    known = connection.execute(select(channels_table.c.enabled).where(channels_table.c.name == DEMO_CHANNEL)).first()
    if known is not None and known.enabled:
        channels.set_channel(connection, DEMO_CHANNEL, fields={"enabled": False}, now_ms=now_ms)
