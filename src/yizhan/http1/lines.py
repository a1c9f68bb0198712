"""The lines of a head, read and written. Peers say the same lines over and over, so each is looked at once.

Both tables are bounded, keep short lines only, and never those that hold a secret or belong to one request alone.
"""

from __future__ import annotations

import re

from yizhan.http1.message import Header

_KEPT_MAX = 2048
_KEPT_BYTES_MAX = 200
_NOT_KEPT = frozenset(
    {
        b"api-key",
        b"authorization",
        b"cookie",
        b"proxy-authorization",
        b"referer",
        b"set-cookie",
        b"traceparent",
        b"x-api-key",
        b"x-forwarded-for",
        b"x-goog-api-key",
        b"x-request-id",
    }
)
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
_WRITTEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n")


class BadFraming(ValueError):
    """What came could be understood in two ways, or in none; ``str(error)`` says what is wrong with it."""


class ReadLines(dict[bytes, Header]):
    """Line without its end → name in lower case and trimmed value. Raises BadFraming for what is no header."""

    def __missing__(self, line: bytes) -> Header:
        found = _LINE.fullmatch(line)
        if found is None:
            raise BadFraming("a line of the head is no header")
        name, value = found.groups()
        header = (name.lower(), value.strip(b" \t"))
        if header[0] not in _NOT_KEPT and len(line) <= _KEPT_BYTES_MAX:
            if len(self) >= _KEPT_MAX:
                self.clear()
            self[line] = header
        return header


class WrittenLines(dict[Header, bytes]):
    """Header → its line. Raises ValueError for one that is none, or would split the head in two."""

    def __init__(self, *, own: frozenset[bytes], refused: bool) -> None:
        """The headers named by ``own`` are the writer's business: refused, or else left out."""
        super().__init__()
        self._own = own
        self._refused = refused

    def __missing__(self, header: Header) -> bytes:
        name = header[0]
        line = b"%b: %b\r\n" % header
        if _WRITTEN.fullmatch(line) is None or b":" in name:
            raise ValueError(f"a header that cannot be written: {name!r}")
        if name in self._own:
            if self._refused:
                raise ValueError(f"the header {name!r} is the writer's own business")
            line = b""
        if name not in _NOT_KEPT and len(line) <= _KEPT_BYTES_MAX:
            if len(self) >= _KEPT_MAX:
                self.clear()
            self[header] = line
        return line
