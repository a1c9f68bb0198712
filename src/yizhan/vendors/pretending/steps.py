"""One answer as the steps a connection takes: bytes to write, time to wait, and an end. Faults are made here."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from yizhan.vendors.pretending.answer import Answer, Frame, Wire

_PHRASES = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 429: b"Too Many Requests"}
_FOREVER_S = 86_400.0
_SETTLE_S = 0.005  # so that what was written has left for the kernel before a reset discards it
_JSON = b"application/json"


class End(Enum):
    """How an exchange ends, as a step."""

    FINISHED = "the terminal bytes are written; the connection may be kept"
    FAILED = "an error status is written; the connection may be kept"
    BROKEN = "a fault ends the exchange, which looks whole on the wire; the connection may be kept"
    CLOSE = "a fault closes the connection"
    RESET = "a fault resets the connection"


class Write(Frame, frozen=True):
    """Bytes for the wire."""


Step = Write | float | End  # a float is seconds to wait


def head(status: int, kind: bytes, length: int | None, extra: bytes = b"") -> bytes:
    """Make an answer's head; a length of None means chunked. ``extra`` is whole header lines."""
    framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    phrase = _PHRASES.get(status, b"Status")
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n%b\r\n%b\r\n" % (status, phrase, kind, framing, extra)


def refuse(wire: Wire, status: int, message: str, *, retry_after: int | None = None) -> Iterator[Step]:
    """Answer with an error status."""
    extra = b"" if retry_after is None else b"retry-after: %d\r\n" % retry_after
    body = wire.error(status, message)
    yield Write(head(status, _JSON, len(body), extra) + body)
    yield End.FAILED


def play(wire: Wire, answer: Answer, *, stream: bool, report_usage: bool, extra: bytes) -> Iterator[Step]:
    """Act out a request: as ordered, well or badly."""
    behaviour = answer.behaviour
    if behaviour.first_byte_ms:
        yield behaviour.first_byte_ms / 1000
    match behaviour.fault:
        case "reset":
            yield End.RESET
        case "garbage":
            yield Write(b"\x00\x16NOT HTTP AT ALL\r\n\r\n\xff\xfe" * 3)
            yield End.CLOSE
        case "not_json":
            page = b"<!doctype html><title>502</title><p>A page where an answer should be</p>"
            yield Write(head(200, b"text/html", len(page), extra) + page)
            yield End.BROKEN
        case _ if stream:
            yield from _stream(wire, answer, report_usage=report_usage, extra=extra)
        case _:
            yield from _whole(wire, answer, extra)


def _whole(wire: Wire, answer: Answer, extra: bytes) -> Iterator[Step]:
    body = wire.whole(answer)
    tokens = answer.bill.completion
    match answer.behaviour.fault:
        case "":
            yield Write(head(200, _JSON, len(body), extra) + body, tokens)
            yield End.FINISHED
        case "error":
            body = wire.error(500, "an error inside a 200")
            yield Write(head(200, _JSON, len(body), extra) + body)
            yield End.BROKEN
        case "empty":
            yield Write(head(200, _JSON, 0, extra))
            yield End.BROKEN
        case "short_length":
            yield Write(head(200, _JSON, len(body) // 2, extra) + body, tokens)
            yield End.CLOSE
        case "huge":
            yield Write(head(200, _JSON, len(body), extra) + body, tokens)
            yield End.FINISHED
        case fault:
            yield Write(head(200, _JSON, len(body), extra) + body[: len(body) // 2])
            yield from _end_early(fault)


def _end_early(fault: str) -> Iterator[Step]:
    match fault:
        case "stall":
            yield _FOREVER_S
            yield End.CLOSE
        case "reset_after":
            yield _SETTLE_S
            yield End.RESET
        case _:  # cut, truncate, short_length
            yield End.CLOSE


def _stream(wire: Wire, answer: Answer, *, report_usage: bool, extra: bytes) -> Iterator[Step]:
    behaviour = answer.behaviour
    fault = "" if behaviour.fault == "huge" else behaviour.fault
    start = head(200, b"text/event-stream; charset=utf-8", None, extra + b"cache-control: no-cache\r\n")
    pending = start  # the head leaves with the first frame
    if fault == "empty":
        yield Write(start + b"0\r\n\r\n")
        yield End.BROKEN
        return
    for sent, frame in enumerate(wire.frames(answer, report_usage=report_usage)):
        if fault and sent == behaviour.fault_at:
            break
        if sent and behaviour.chunk_ms:
            yield behaviour.chunk_ms / 1000
        yield Write(pending + _chunk(frame.data), frame.tokens)
        pending = b""
    if not fault:
        yield Write(pending + _chunk(wire.last) + b"0\r\n\r\n")
        yield End.FINISHED
        return
    yield from _spoil(wire, fault, pending)


def _spoil(wire: Wire, fault: str, pending: bytes) -> Iterator[Step]:
    match fault:
        case "error":
            yield Write(pending + _chunk(wire.error_frame("an error inside a stream").data) + b"0\r\n\r\n")
            yield End.BROKEN
        case "truncate":
            yield Write(pending + b"0\r\n\r\n")
            yield End.BROKEN
        case _:
            if pending:
                yield Write(pending)
            yield from _end_early(fault)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
