from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from yizhan.store.seal import Seal, SealBroken


def test_what_is_sealed_can_be_opened_after_a_restart(tmp_path: Path) -> None:
    sealed = Seal.open(tmp_path).seal(b"sk-secret")
    assert b"secret" not in sealed
    assert Seal.open(tmp_path).unseal(sealed) == b"sk-secret"


def test_the_same_text_is_never_sealed_to_the_same_bytes(tmp_path: Path) -> None:
    seal = Seal.open(tmp_path)
    assert seal.seal(b"x") != seal.seal(b"x")


def test_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    Seal.open(tmp_path)
    files = sorted((tmp_path / "secrets").iterdir())
    assert [path.name for path in files] == ["pepper.key", "seal.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_changed_cut_and_foreign_seals_are_refused(tmp_path: Path) -> None:
    seal = Seal.open(tmp_path)
    sealed = seal.seal(b"x")
    changed = [sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :] for place in range(len(sealed))]
    cut = [sealed[:length] for length in range(len(sealed))]
    for bad in [*changed, *cut, Seal.open(tmp_path / "other").seal(b"x")]:
        with pytest.raises(SealBroken):
            seal.unseal(bad)


def test_a_key_from_the_settings_takes_the_file_s_place(tmp_path: Path) -> None:
    key = os.urandom(32).hex()
    sealed = Seal.open(tmp_path / "a", key).seal(b"x")
    assert Seal.open(tmp_path / "b", key).unseal(sealed) == b"x"
    assert not (tmp_path / "a" / "secrets" / "seal.key").exists()


@pytest.mark.parametrize("key", ["zz", "00", "0" * 63])
def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(SealBroken, match="64 hexadecimal"):
        Seal.open(tmp_path, key)


def test_a_damaged_key_file_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "seal.key").write_bytes(b"short")
    with pytest.raises(SealBroken, match=r"seal\.key"):
        Seal.open(tmp_path)
    assert (tmp_path / "secrets" / "seal.key").read_bytes() == b"short"


def test_processes_that_start_at_once_agree_on_the_secrets(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    hashes: set[bytes] = set()

    def start() -> None:
        barrier.wait(10)
        hashes.add(Seal.open(tmp_path).hash_key("sk-1"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(hashes) == 1


def test_a_key_hashes_the_same_here_and_differently_elsewhere(tmp_path: Path) -> None:
    here, elsewhere = Seal.open(tmp_path), Seal.open(tmp_path / "other")
    assert here.hash_key("sk-1") == Seal.open(tmp_path).hash_key("sk-1")
    assert len(here.hash_key("sk-1")) == 32
    assert here.hash_key("sk-1") != here.hash_key("sk-2")
    assert here.hash_key("sk-1") != elsewhere.hash_key("sk-1")
