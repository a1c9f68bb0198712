"""A chunked body, read strictly. Sans-I/O: bytes in, pieces out; what follows the body is handed back untouched.

The end is found exactly; extensions are skipped; trailers are checked for size and dropped.
"""

from __future__ import annotations

import re

from yizhan.http1.lines import BadFraming

_LINE_BYTES_MAX = 4096  # a size with its extensions; nobody sends more than a few bytes
_TRAILER_BYTES_MAX = 16 * 1024
# A size, then extensions without control characters. More than 15 digits is an attack on somebody's integers.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")

_SIZES_MAX = 4096
_sizes: dict[bytes, int] = {}  # size lines seen before, checked: a stream's chunks are much of a size

_IN_DATA, _AFTER_DATA, _IN_SIZE, _IN_TRAILERS, _DONE = range(5)


class ChunkedBody:
    """One chunked body. Feed it what arrives; ``rest`` is what came after the end once it is ``over``."""

    __slots__ = ("_left", "_line", "_state", "_trailer_bytes", "broken", "over", "rest")

    def __init__(self) -> None:
        self.over = False  # it came to its end, or ``broken`` says why it never will
        self.broken = ""
        self.rest = b""
        self._state = _IN_SIZE
        self._left = 0  # bytes of the current chunk still to come
        self._line = b""  # an unfinished line of framing
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Take what arrived and return the body bytes in it, in one piece; those before a fault, too."""
        assert not self.over
        if self._state == _IN_SIZE and not self._line:
            cut = data.find(b"\r\n", 0, 10)
            size = _sizes.get(data[:cut])
            # Most often one write of the sender arrives by itself and is one chunk.
            if size and len(data) == cut + size + 4 and data.endswith(b"\r\n"):
                return data[cut + 2 : -2]
        pieces: list[bytes] = []
        try:
            self._read(data, pieces)
        except BadFraming as error:
            self.broken = str(error)
            self.over = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read(self, data: bytes, pieces: list[bytes]) -> None:
        if self._line:
            data, self._line = self._line + data, b""
        at = 0
        while at < len(data):
            if self._state == _IN_DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _AFTER_DATA
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._keep_line(data[at:])
                break
            if end == at or data[end - 1] != 13:
                raise BadFraming("a line of the chunked body does not end in CR LF")
            self._read_line(data[at : end - 1])
            at = end + 1
            if self._state == _DONE:
                self.over = True
                self.rest = data[at:]
                break

    def _keep_line(self, line: bytes) -> None:
        if self._state == _AFTER_DATA and line != b"\r":
            raise BadFraming("a chunk is longer than its size")
        if len(line) > _LINE_BYTES_MAX:
            raise BadFraming("a line of the chunked body is too long")
        cut = line.find(b"\r")
        if 0 <= cut < len(line) - 1:
            raise BadFraming("a line of the chunked body does not end in CR LF")
        self._line = line

    def _read_line(self, line: bytes) -> None:
        if self._state == _AFTER_DATA:
            if line:
                raise BadFraming("a chunk is longer than its size")
            self._state = _IN_SIZE
        elif self._state == _IN_SIZE:
            found = _SIZE_LINE.fullmatch(line) if len(line) <= _LINE_BYTES_MAX else None
            if found is None:
                raise BadFraming("a bad chunk size")
            self._left = int(found[1], 16)
            if len(line) <= 8:
                if len(_sizes) >= _SIZES_MAX:
                    _sizes.clear()
                _sizes[line] = self._left
            self._state = _IN_DATA if self._left else _IN_TRAILERS
        elif not line:
            self._state = _DONE
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > _TRAILER_BYTES_MAX or not _TRAILER_LINE.fullmatch(line):
                raise BadFraming("bad trailers")
