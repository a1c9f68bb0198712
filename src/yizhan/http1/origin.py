"""Whom to call, and how long to wait."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import msgspec

_PORTS = {"http": 80, "https": 443}


class Origin(msgspec.Struct, frozen=True):
    """One server: a scheme (http, https or unix), a host (unix: the socket's path) and a port."""

    scheme: str
    host: str
    port: int = 0

    @classmethod
    def parse(cls, url: str) -> tuple[Origin, bytes]:
        """Split a base URL into its origin and the path before every target, without a slash at its end."""
        if url.startswith("unix:"):
            path = url.removeprefix("unix://").removeprefix("unix:")
            if not path.startswith("/") or "\0" in path:
                raise ValueError("a unix URL is unix:/PATH")
            return cls("unix", path), b""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("a base URL begins with http://HOST or https://HOST")
        if parts.username is not None or parts.query or parts.fragment or url.endswith(("?", "#")):
            raise ValueError("a base URL holds no user, no query and no fragment")
        try:
            host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
        except UnicodeError:
            raise ValueError("the host of the base URL is no host name") from None
        if not host or any(letter <= " " or letter in "/\\%<>\"'" for letter in host):
            raise ValueError("the host of the base URL is no host name")
        prefix = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=-._~")
        return cls(parts.scheme, host, parts.port or _PORTS[parts.scheme]), prefix.encode()

    @property
    def authority(self) -> str:
        """HOST:PORT, as a proxy wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or _PORTS[self.scheme]}"

    @property
    def host_header(self) -> bytes:
        """The Host header's value."""
        if self.scheme == "unix":
            return b"localhost"
        return self.authority.removesuffix(f":{_PORTS[self.scheme]}").encode()


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds: to connect (waiting for a free connection included), for the answer's head, between pieces, for all."""

    connect_s: float
    first_byte_s: float
    idle_s: float
    total_s: float
