"""Answers that come compressed although nobody asked: inflated piece by piece, within a bound."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from yizhan.http1.message import Truncated

CODINGS = (b"gzip", b"x-gzip", b"deflate")
_PIECE = 64 * 1024
_FREE = 1024 * 1024  # so much may come out whatever went in: short answers may repeat themselves
_RATIO = 100  # JSON and text stay far below; zlib's most is about 1,030


class Inflater:
    """Bytes of one compressed body in, its plain bytes out."""

    __slots__ = ("_coding", "_engine", "_start", "_taken", "_yielded")

    def __init__(self, coding: bytes) -> None:
        """Raises Truncated for a coding that cannot be read."""
        if coding not in CODINGS:
            raise Truncated("the answer has a content-encoding that was not asked for")
        self._coding = coding
        self._engine = None if coding == b"deflate" else zlib.decompressobj(wbits=31)
        self._start = b""
        self._taken = self._yielded = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Inflate a piece. Raises Truncated when it is damaged or grows beyond reason."""
        self._taken += len(data)
        if self._engine is None:
            data = self._start + data
            if (
                len(data) < 2
            ):  # the two header bytes tell zlib's wrapping from raw deflate; both are sent under this name
                self._start = data
                return
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._engine = zlib.decompressobj(wbits=15 if wrapped else -15)
        while data:
            if self._engine.eof:
                if self._coding == b"deflate":
                    raise Truncated("bytes follow the end of a compressed answer")
                self._engine = zlib.decompressobj(wbits=31)  # gzip may have several members
            try:
                piece = self._engine.decompress(data, _PIECE)
            except zlib.error as error:
                raise Truncated(f"the compressed answer is damaged: {error}") from None
            self._yielded += len(piece)
            if self._yielded > _FREE and self._yielded > _RATIO * self._taken:
                raise Truncated("the compressed answer grows beyond reason")
            if piece:
                yield piece
            data = self._engine.unconsumed_tail or self._engine.unused_data

    def end(self) -> None:
        """Raises Truncated unless the compressed stream came to its own end."""
        if (self._engine is None and self._start) or (
            self._engine is not None and self._taken and not self._engine.eof
        ):
            raise Truncated("the compressed answer breaks off")
