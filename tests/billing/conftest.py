"""The databases these tests run on."""

from tests.store_servers import database, migrated_file, postgres, url

__all__ = ["database", "migrated_file", "postgres", "url"]
