"""Fuzz the client's connection: arbitrary bytes in arbitrary splits as the answer.

    python fuzz/http1_client.py CORPUS_FOLDER -max_total_time=1800 -max_len=4096

Needs atheris, which is not among the station's dependencies. What must hold for every input: nothing but
TransferFailed comes out, and it comes at the end of input at the latest; the sink gets no byte beyond the framing, nor
after the end; how the bytes are split changes nothing.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

with atheris.instrument_imports(include=["yizhan"]):
    from yizhan.http1.answer import Answer
    from yizhan.http1.deadlines import Sweeper
    from yizhan.http1.message import Headers, Limits, TransferFailed, first
    from yizhan.http1.origin import Timeouts
    from yizhan.http1.outgoing import Connection

_LOOP = asyncio.new_event_loop()
_SWEEPER = Sweeper(_LOOP, tick_s=3600, expire_idle=lambda _: False)
_TIMEOUTS = Timeouts(1, 1, 1, 1)
_LIMITS = Limits(header_bytes_max=2000, header_count_max=20, buffer_bytes_max=1000)
_OK = b"HTTP/1.1 200 OK\r\n"
_CUTS = b"\x03\x10\x20\x30"
_GZIPPED = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcbH\xcd\xc9\xc9\x07\x00\x86\xa6\x106\x05\x00\x00\x00"
_DEFLATED = b"x\x9c\xcbH\xcd\xc9\xc9\x07\x00\x06,\x02\x15"
_SEEDS = [
    b"\0" + _CUTS + _OK + b"content-length: 5\r\n\r\nhello",
    b"\0" + _CUTS + _OK + b"transfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n",
    b"\1" + _CUTS + _OK + b"content-length: 5\r\n\r\n",
    b"\2" + _CUTS + b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\nhello",
    b"\0" + _CUTS + b"HTTP/1.1 103 Hint\r\nlink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"\0" + _CUTS + b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nabc",
    b"\0" + _CUTS + _OK + b"content-encoding: gzip\r\ncontent-length: 25\r\n\r\n" + _GZIPPED,
    b"\0" + _CUTS + _OK + b"content-encoding: deflate\r\ncontent-length: 13\r\n\r\n" + _DEFLATED + _OK,
]


class _Wire:
    """A transport that says nothing."""

    def __init__(self) -> None:
        self.aborted = False

    def write(self, data: bytes) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class _Home:
    """Where a connection goes."""

    def __init__(self) -> None:
        self.kept = False

    def release(self, connection: Connection) -> None:
        assert not connection.closed
        self.kept = True

    def forget(self, connection: Connection) -> None:
        assert connection.closed
        self.kept = False


class _Outcome(NamedTuple):
    status: int
    headers: Headers
    body: bytes
    fault: type[BaseException] | None


def _exchange(parts: list[bytes], *, to_head: bool, reset: bool, early_sink: bool) -> _Outcome:
    home, wire = _Home(), _Wire()
    connection = Connection(home, _LIMITS)
    connection.connection_made(cast("asyncio.Transport", wire))
    answer = Answer(connection, _SWEEPER, _TIMEOUTS, _LOOP, 1e12, _LIMITS.buffer_bytes_max)
    connection.start(answer, b"POST / HTTP/1.1\r\n\r\n", b"", to_head=to_head, streamed=False)
    body: list[bytes] = []
    pipe: Any = answer.pipe(body.append)
    if early_sink:
        pipe.send(None)
    for part in parts:
        if part and not connection.closed:
            ended, before = answer.ended, len(body)
            connection.data_received(part)
            assert not ended or len(body) == before, "the sink got bytes after the end"
            assert not ended or connection.closed, "an idle connection heard bytes and stayed"
    if not connection.closed:
        if reset:
            connection.connection_lost(ConnectionResetError())
        else:
            connection.eof_received()
    assert answer.ended
    assert connection.closed
    assert wire.aborted
    assert connection.answer is None
    fault: type[BaseException] | None = None
    try:
        pipe.send(None)
    except StopIteration:
        pass
    except TransferFailed as failure:
        fault = type(failure)
    else:
        raise AssertionError("the answer has ended and its pipe has not")
    return _Outcome(answer.status, answer.headers, b"".join(body), fault)


def _judge(outcome: _Outcome, wire: bytes, *, to_head: bool) -> None:
    assert outcome.status or outcome.fault
    if outcome.status and (to_head or outcome.status in (204, 304)):
        assert outcome.body == b""
        return
    if first(outcome.headers, b"transfer-encoding") is None and b"content-encoding" not in wire.lower():
        assert outcome.body in wire
        length = first(outcome.headers, b"content-length")
        if length is not None:
            assert len(outcome.body) <= int(length)
            assert outcome.fault is not None or len(outcome.body) == int(length)


def one_input(data: bytes) -> None:
    """Run one input: flags, a number of cuts, the cuts, and the bytes on the wire."""
    if len(data) < 3:
        return
    flags, count = data[0], data[1] % 16
    cuts, wire = data[2 : 2 + count], data[2 + count :]
    edges = [0, *sorted(cut * (1 + (flags >> 4)) % (len(wire) + 1) for cut in cuts), len(wire)]
    parts = [wire[start:stop] for start, stop in pairwise(edges)]
    to_head, reset, early_sink = bool(flags & 1), bool(flags & 2), bool(flags & 4)
    split = _exchange(parts, to_head=to_head, reset=reset, early_sink=early_sink)
    _judge(split, wire, to_head=to_head)
    if len(wire) <= _LIMITS.header_bytes_max:  # beyond, the bound may strike one split and not the other
        whole = _exchange([wire], to_head=to_head, reset=reset, early_sink=not early_sink)
        assert whole._replace(body=b"") == split._replace(body=b""), (whole, split)
        if split.fault is None:
            assert whole.body == split.body
        else:  # how much came before the fault may differ: damage shows at the end of a compressed piece
            assert whole.body.startswith(split.body) or split.body.startswith(whole.body)


def main() -> None:
    """Seed the corpus folder and run."""
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            folder = Path(argument)
            folder.mkdir(parents=True, exist_ok=True)
            for number, seed in enumerate(_SEEDS):
                (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
