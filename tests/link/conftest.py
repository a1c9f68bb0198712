from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.link.town import Town, a_town


@pytest.fixture
def town() -> Iterator[Town]:
    with a_town() as town:
        yield town
