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
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class BadFraming(ValueError):
    """What came could be understood in two ways, or in none; ``str(error)`` says what is wrong with it."""


class ReadLines(dict[bytes, Header]):
    """Line without its end → name in lower case and trimmed value. Raises BadFraming for what is no header."""

    def __missing__(self, line: bytes) -> Header:
        found = _LINE.fullmatch(line)
        if found is None:
            raise BadFraming("a line of the head is no header")
        header = (found[1].lower(), found[2].strip(b" \t"))
        if len(line) <= _KEPT_BYTES_MAX and header[0] not in _NOT_KEPT:
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
        name, value = header
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise ValueError(f"a header that cannot be written: {name!r}")
        line = b"%b: %b\r\n" % header
        if name in self._own:
            if self._refused:
                raise ValueError(f"the header {name!r} is the writer's own business")
            line = b""
        if len(value) <= _KEPT_BYTES_MAX and name not in _NOT_KEPT:
            if len(self) >= _KEPT_MAX:
                self.clear()
            self[header] = line
        return line
