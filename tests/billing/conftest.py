"""The databases these tests run on, with books in them."""

import pytest
from tests.billing.books import Books
from tests.store_servers import database, migrated_file, postgres, url

from yizhan.store.engine import Database

__all__ = ["database", "migrated_file", "postgres", "url"]


@pytest.fixture
def books(database: Database) -> Books:
    """Empty books."""
    return Books(database)
