from __future__ import annotations

from pathlib import Path

import pytest
from tests.purse.twins import Bank, Vault

from yizhan.clock import SetClock
from yizhan.purse.purse import Purse


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def purse(bank: Bank, clock: SetClock) -> Purse:
    purse = Purse(bank, clock=clock)
    bank.purse = purse
    return purse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def vault() -> Vault:
    return Vault()
