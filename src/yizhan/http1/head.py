"""The head of a message, read strictly. Sans-I/O: bytes in; a start line, headers and what follows them out.

Lines end in CR LF and nothing else; a line is one header, without folds and control characters. Whatever two readers
might see differently is refused, so there is no second way of reading any head that passes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from yizhan.errors import MethodNotAllowed
from yizhan.http1.lines import BadFraming, ReadLines
from yizhan.http1.message import Headers, Limits

Start = TypeVar("Start")

_STARTS_MAX = 1024
_START_BYTES_MAX = 200
_PART = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\r?")  # of a line whose end has not come
_REQUEST = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|QUERY) +(/[!\"$-~]*|https?://[!\"$-~]+)"
    rb" +HTTP/1\.([01])"
)
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_headers = ReadLines()


class HeadTooLarge(BadFraming):
    """The head is over the limits in bytes or in headers."""


class RequestLine(NamedTuple):
    """The first line of a request."""

    method: bytes
    target: bytes
    path: bytes
    query: bytes
    version_1_0: bool


class StatusLine(NamedTuple):
    """The first line of an answer."""

    status: int
    version_1_0: bool


class RequestLines(dict[bytes, RequestLine]):
    """First lines of requests, as they came → what they say. Those with a query are not kept: it may hold a key."""

    def __missing__(self, line: bytes) -> RequestLine:
        found = _REQUEST.fullmatch(line)
        if found is None:
            if line.startswith(b"CONNECT "):
                raise MethodNotAllowed("the method is not one of the station's")
            raise BadFraming("not a request of HTTP/1.1 that the station reads")
        target = found[2]
        path, _, query = target.partition(b"?")
        if path[:1] != b"/":  # absolute form, http://host/path
            path = b"/" + path.split(b"://", 1)[1].partition(b"/")[2]
        read = RequestLine(found[1], target, path, query, found[3] == b"0")
        if not query and len(line) <= _START_BYTES_MAX:
            if len(self) >= _STARTS_MAX:
                self.clear()
            self[line] = read
        return read


class StatusLines(dict[bytes, StatusLine]):
    """First lines of answers, as they came → what they say."""

    def __missing__(self, line: bytes) -> StatusLine:
        found = _STATUS.fullmatch(line)
        if found is None:
            raise BadFraming("not an answer of HTTP/1.1")
        read = StatusLine(int(found[2]), found[1] == b"0")
        if len(line) <= _START_BYTES_MAX:
            if len(self) >= _STARTS_MAX:
                self.clear()
            self[line] = read
        return read


REQUESTS = RequestLines()
STATUSES = StatusLines()


class HeadReader(Generic[Start]):
    """Reads the heads of one connection, one after the other."""

    __slots__ = ("_checked", "_kept", "_limits", "_starts")

    def __init__(self, limits: Limits, starts: Mapping[bytes, Start]) -> None:
        """``starts`` reads first lines: REQUESTS or STATUSES."""
        self._limits = limits
        self._starts = starts
        self._kept = bytearray()  # an unfinished head
        self._checked = 0  # how long that was when it was last looked at

    @property
    def begun(self) -> bool:
        """Whether a part of a head is waiting for the other."""
        return bool(self._kept)

    def feed(self, data: bytes) -> tuple[Start, Headers, bytes] | None:
        """Take what arrived; when a head is there, give its first line, its headers, and what came behind it.

        Raises BadFraming, HeadTooLarge among it, and what ``starts`` raises.
        """
        kept = self._kept
        if kept:
            searched = max(0, len(kept) - 3)
            kept += data
            end = kept.find(b"\r\n\r\n", searched)
            if end >= 0:
                data = bytes(kept)
                kept.clear()
        else:
            if data[0] in b"\r\n":  # empty lines before a message are to be forgiven
                data = data.lstrip(b"\r\n")
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._checked = 0
                kept += data
        if end < 0:
            self._check_unfinished()
            return None
        limits = self._limits
        if end + 4 > limits.header_bytes_max:
            raise HeadTooLarge("the headers are too large")
        lines = data[:end].split(b"\r\n")
        if len(lines) > limits.header_count_max + 1:
            raise HeadTooLarge("too many headers")
        start = self._starts[lines[0]]
        del lines[0]
        return start, [_headers[line] for line in lines], data[end + 4 :]

    def _check_unfinished(self) -> None:
        """Refuse what will never become a head without waiting for its end; looked at whenever it has doubled."""
        size = len(self._kept)
        if size > self._limits.header_bytes_max:
            raise HeadTooLarge("the headers are too large")
        if not size or size < 2 * self._checked:
            return
        self._checked = size
        *whole, part = bytes(self._kept).split(b"\r\n")
        if _PART.fullmatch(part) is None:
            raise BadFraming("a line that is no part of a head")
        for line in whole[:1]:
            self._starts[line]
        for line in whole[1:]:
            _headers[line]
