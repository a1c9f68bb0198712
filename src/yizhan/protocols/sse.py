"""Server-sent events, cut into whole frames. Source: the WHATWG HTML standard, §9.2."""

from __future__ import annotations


class FrameTooLarge(Exception):
    """One event is larger than the bound on what is looked at whole."""


class Frames:
    """Cut a stream of bytes into frames; each frame ends with its blank line, so their sum is the stream again."""

    __slots__ = ("_frame_bytes_max", "_tail")

    def __init__(self, frame_bytes_max: int) -> None:
        self._tail = b""
        self._frame_bytes_max = frame_bytes_max

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next bytes; return the frames they complete. Raises FrameTooLarge."""
        if self._tail:
            piece = self._tail + piece
        if b"\r" in piece:
            return self._feed_mixed(piece)
        cut = piece.rfind(b"\n\n")
        if cut < 0:
            self._keep(piece)
            return []
        cut += 2
        self._keep(piece[cut:])
        if piece.find(b"\n\n") + 2 == cut:
            return [piece[:cut]]
        return [frame + b"\n\n" for frame in piece[: cut - 2].split(b"\n\n")]

    def rest(self) -> bytes:
        """Hand out what is left when the stream ends: a frame without its blank line."""
        tail, self._tail = self._tail, b""
        return tail

    def _keep(self, tail: bytes) -> None:
        if len(tail) > self._frame_bytes_max:
            raise FrameTooLarge
        self._tail = tail

    def _feed_mixed(self, piece: bytes) -> list[bytes]:
        """Cut where lines may end in CR LF. A CR at the very end may be half of a CR LF and waits."""
        frames: list[bytes] = []
        start = at = 0
        blank = True  # the line being read has nothing in it so far
        while at < len(piece):
            byte = piece[at]
            if byte == 13 and at + 1 == len(piece):
                break
            if byte in (10, 13):
                at += 2 if byte == 13 and piece[at + 1] == 10 else 1
                if blank:
                    frames.append(piece[start:at])
                    start = at
                blank = True
                continue
            blank = False
            ends = [end for end in (piece.find(b"\n", at), piece.find(b"\r", at)) if end >= 0]
            at = min(ends, default=len(piece))
        self._keep(piece[start:])
        return frames


def data_of(frame: bytes) -> bytes | None:
    """Join the ``data`` lines of a frame; None where it has none (a comment, a ping)."""
    if frame.startswith(b"data:") and frame.find(b"\n") >= len(frame) - 2:  # the usual frame: one line
        return frame[5:].strip()
    lines = [line[5:].removeprefix(b" ") for line in frame.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
