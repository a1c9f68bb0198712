"""A request's head, read strictly. Sans-I/O: bytes in; a head, a refusal or a wish for more out.

Each head gets a parser of its own, which sees exactly its bytes: no parser ever sees a body, trailers, an upgrade or a
second message, where the library has its traps.
"""

from __future__ import annotations

import httptools

from yizhan.errors import BadHttp, HeadersTooLarge, MethodNotAllowed
from yizhan.http1.framing import BadFraming, RequestFraming, request_framing
from yizhan.http1.message import Headers, Limits

_VERSIONS = frozenset({b" HTTP/1.1", b" HTTP/1.0"})
_REFUSED_METHODS = frozenset({b"CONNECT", b"PRI", b"SOURCE"})


class HeadReader:
    """Reads the heads of one connection, one after the other."""

    __slots__ = (
        "_checked",
        "_ends",
        "_kept",
        "_limits",
        "framing",
        "headers",
        "method",
        "rest",
        "target",
        "version_1_0",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept = bytearray()  # an unfinished head
        self._checked = 0  # how long that was when it was last looked at
        self._ends = 0
        self.method = b""
        self.target = b""
        self.headers: Headers = []
        self.version_1_0 = False
        self.framing: RequestFraming
        self.rest = b""  # what came behind the head

    @property
    def begun(self) -> bool:
        """Whether a part of a head is waiting for the other."""
        return bool(self._kept)

    def feed(self, data: bytes) -> bool:
        """Take what arrived; True when a head is there to be looked at. Raises BadHttp and its like."""
        kept = self._kept
        if kept:
            start = max(0, len(kept) - 3)
            kept += data
            end = kept.find(b"\r\n\r\n", start)
            if end >= 0:
                data = bytes(kept)
                kept.clear()
        else:
            if data[0] in b"\r\n":  # empty lines before a request are to be forgiven
                data = data.lstrip(b"\r\n")
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._checked = 0
                kept += data
        if end < 0:
            self._check_unfinished()
            return False
        end += 4
        if end > self._limits.header_bytes_max:
            raise HeadersTooLarge("the headers are too large")
        self.rest = data[end:]
        self._read(data[:end])
        return True

    def _check_unfinished(self) -> None:
        """Refuse what will never become a head without waiting for its end; looked at whenever it has doubled."""
        size = len(self._kept)
        if size > self._limits.header_bytes_max:
            raise HeadersTooLarge("the headers are too large")
        if size and size >= 2 * self._checked:
            self._checked = size
            self._parse(bytes(self._kept))

    def _parse(self, head: bytes) -> httptools.HttpRequestParser:
        self.target = b""
        self.headers = []
        self._ends = 0
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # upgrades are ignored; the body is ours to read, so nothing is lost
        except httptools.HttpParserError as error:
            raise BadHttp(f"not a request the station reads: {error}") from None
        return parser

    def _read(self, head: bytes) -> None:
        parser = self._parse(head)
        line_end = head.find(b"\r\n")
        version = head[line_end - 9 : line_end]  # the parser would take other protocols' names for HTTP
        if self._ends != 1 or version not in _VERSIONS:
            raise BadHttp("not HTTP/1.1")
        if len(self.headers) > self._limits.header_count_max:
            raise HeadersTooLarge("too many headers")
        self.method = parser.get_method()
        if self.method in _REFUSED_METHODS:
            raise MethodNotAllowed("the method is not one of the station's")
        target = self.target
        if b"#" in target or (target[:1] != b"/" and not target.startswith((b"http://", b"https://"))):
            raise BadHttp("the target is not a path")
        self.version_1_0 = version == b" HTTP/1.0"
        try:
            self.framing = request_framing(self.headers, version_1_0=self.version_1_0)
        except BadFraming as error:
            raise BadHttp(str(error)) from None

    # -- the parser's side ---------------------------------------------------------------------------------------------

    def on_url(self, target: bytes) -> None:
        """Note the request's target."""
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Count the head's end: there must be exactly one."""
        self._ends += 1
