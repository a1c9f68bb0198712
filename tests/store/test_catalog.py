from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, update

from yizhan.catalog.entries import Channel, Group, Model, Price
from yizhan.catalog.snapshot import Catalog, Snapshot
from yizhan.store import catalog, changes
from yizhan.store.engine import Database
from yizhan.store.seal import Seal, SealBroken
from yizhan.store.tables import channels, groups, models, prices


@pytest.fixture
def seal(tmp_path: Path) -> Seal:
    return Seal.open(tmp_path)


@pytest.fixture
def c(database: Database) -> Iterator[Connection]:
    with database.write() as connection:
        yield connection


def _add_channel(c: Connection, seal: Seal, *, proxy: bytes | None = None) -> int:
    channel: int = c.execute(
        insert(channels)
        .values(
            name="openai",
            vendor="openai-compatible",
            base_url="http://127.0.0.1/v1",
            keys_sealed=seal.seal(b'["sk-a", "sk-b"]'),
            models={"gpt": "gpt-4o"},
            groups=["default", "vip"],
            priority=3,
            weight=2,
            proxy_sealed=None if proxy is None else seal.seal(proxy),
            created_ms=1,
        )
        .returning(channels.c.id)
    ).scalar_one()
    changes.announce(c, kind="channel", key=str(channel), now_ms=1)
    return channel


def _set_price(c: Connection, price: Price, *, withdrawn: bool = False) -> int:
    version: int = c.execute(
        insert(prices)
        .values(model=price.model, rates=catalog.rates_of(price), source="operator", withdrawn=withdrawn, created_ms=1)
        .returning(prices.c.version)
    ).scalar_one()
    changes.announce(c, kind="price", key=price.model, now_ms=1)
    return version


def _snapshot(c: Connection, seal: Seal) -> Snapshot:
    return catalog.snapshot(c, seal.unseal)


def test_a_channel_comes_with_its_secrets_opened(c: Connection, seal: Seal) -> None:
    id_ = _add_channel(c, seal, proxy=b"socks5://p")
    assert _snapshot(c, seal).channels == {
        id_: Channel(
            id=id_,
            name="openai",
            vendor="openai-compatible",
            base_url="http://127.0.0.1/v1",
            keys=("sk-a", "sk-b"),
            models={"gpt": "gpt-4o"},
            groups=("default", "vip"),
            priority=3,
            weight=2,
            proxy="socks5://p",
        )
    }


def test_channels_sealed_with_another_key_are_not_passed_over(c: Connection, seal: Seal, tmp_path: Path) -> None:
    _add_channel(c, Seal.open(tmp_path / "other"))
    with pytest.raises(SealBroken):
        _snapshot(c, seal)


def test_the_price_in_force_is_the_highest_version_unless_withdrawn(c: Connection, seal: Seal) -> None:
    first = _set_price(c, Price(version=0, model="a", input=1))
    second = _set_price(c, Price(version=0, model="a", input=2, cached_input=0, per_request=5))
    _set_price(c, Price(version=0, model="b", free=True))
    _set_price(c, Price(version=0, model="b"), withdrawn=True)
    newest = Price(version=second, model="a", input=2, cached_input=0, per_request=5)
    assert _snapshot(c, seal).prices == {"a": newest}
    assert catalog.price_in_force(c, model="a") == newest
    assert catalog.price_in_force(c, model="b") is None
    assert catalog.price_version(c, version=first) == Price(version=first, model="a", input=1)
    assert catalog.price_version(c, version=999) is None


def test_models_and_groups_are_as_they_were_set(c: Connection, seal: Seal) -> None:
    c.execute(insert(models).values(name="m", owned_by="me", created_s=5, context_tokens=9, output_tokens_max=7))
    c.execute(insert(groups).values(name="vip", multiplier_ppm=500_000))
    found = _snapshot(c, seal)
    assert found.models == {"m": Model("m", "me", 5, 9, 7)}
    assert found.groups == {"default": Group("default"), "vip": Group("vip", 500_000)}


def test_following_the_changes_leads_to_the_same_catalog_as_a_whole_snapshot(c: Connection, seal: Seal) -> None:
    channel = _add_channel(c, seal)
    _set_price(c, Price(version=0, model="gone", input=1))
    held = Catalog(_snapshot(c, seal))
    c.execute(update(channels).where(channels.c.id == channel).values(enabled=False))
    changes.announce(c, kind="channel", key=str(channel), now_ms=1)
    _set_price(c, Price(version=0, model="gone"), withdrawn=True)
    _set_price(c, Price(version=0, model="new", output=4))
    c.execute(insert(models).values(name="new"))
    changes.announce(c, kind="model", key="new", now_ms=1)
    c.execute(delete(groups))
    changes.announce(c, kind="group", key="default", now_ms=1)
    changes.announce(c, kind="key", key="ab" * 32, now_ms=1)
    changes.announce(c, kind="wallet", key="12", now_ms=1)
    delta = catalog.changes(c, held.snapshot.seq, seal.unseal)
    assert delta is not None
    assert held.after(delta.seq, delta.changes).snapshot == _snapshot(c, seal)
    assert (delta.key_hashes, delta.wallets) == ((b"\xab" * 32,), (12,))


def test_a_removed_channel_is_told_as_removed(c: Connection, seal: Seal) -> None:
    channel = _add_channel(c, seal)
    held = Catalog(_snapshot(c, seal))
    c.execute(delete(channels))
    changes.announce(c, kind="channel", key=str(channel), now_ms=1)
    delta = catalog.changes(c, held.snapshot.seq, seal.unseal)
    assert delta is not None
    assert held.after(delta.seq, delta.changes).snapshot.channels == {}


def test_without_news_the_delta_is_empty_and_with_a_gap_there_is_none(c: Connection, seal: Seal) -> None:
    _add_channel(c, seal)
    now = catalog.changes(c, 1, seal.unseal)
    assert now is not None
    assert (now.since, now.seq, now.changes) == (1, 1, ())
    assert catalog.changes(c, 2, seal.unseal) is None


def test_very_many_changes_are_read_in_pieces(c: Connection, seal: Seal) -> None:
    for number in range(1203):
        c.execute(insert(models).values(name=f"m{number}"))
        changes.announce(c, kind="model", key=f"m{number}", now_ms=1)
    delta = catalog.changes(c, 0, seal.unseal)
    assert delta is not None
    assert sum(change.model is not None for change in delta.changes) == 1203
