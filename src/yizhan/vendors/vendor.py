"""What a vendor file says: data first, quirks as small fields. Routing and forms read it from here."""

from __future__ import annotations

import msgspec


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's address, credentials and protocols.

    ``speaks`` maps a protocol to its path below the base URL. ``base_url`` empty means that the operator must give one.
    """

    name: str
    title: str
    speaks: dict[str, str]
    base_url: str = ""
    auth_header: bytes = b"authorization"
    auth_prefix: bytes = b"Bearer "
    default_prefix: str = "/v1"  # where a base URL without any path is taken to mean this one
    reports_stream_usage: bool = True  # understands stream_options.include_usage
    verified: bool = True
    docs_url: str = ""

    def credentials(self, key: str) -> tuple[bytes, bytes]:
        """Make the header that carries the channel's key."""
        return self.auth_header, self.auth_prefix + key.encode()
