"""One station and two pretend vendors for the whole folder; tests that hurt a station start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.station import Station, channel_words, price_words, serving
from tests.acceptance.upstream import Upstream, pretending


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The vendor that tests give orders to."""
    with pretending("--seed", "1") as found:
        yield found


@pytest.fixture(scope="session")
def spare() -> Iterator[Upstream]:
    """The vendor that behaves well."""
    with pretending("--seed", "2") as found:
        yield found


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("station") / "home"


@pytest.fixture(scope="session")
def station(home: Path, upstream: Upstream) -> Iterator[Station]:
    """A station with two workers, impatient with upstreams, that sells ``pretend`` by the token."""
    with serving(Station(home, first_byte_timeout_s=2, idle_timeout_s=2, caller_drain_s=3)) as found:
        found.rows_of(
            [
                channel_words("first", base_url=upstream.base_url, models="pretend,pretend-small,pretend-large"),
                price_words("pretend"),
                price_words("pretend-small"),
                ["price", "set", "pretend-large", "--per-request", "0.001"],
            ]
        )
        yield found
