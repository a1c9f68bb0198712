"""The top level of a JSON object, looked at without reading what is inside: which keys, and where their values stand.

What is forwarded are the caller's own bytes with a few values cut out and others put in, so nothing nested is ever
decoded and encoded again. A key that stands twice is refused: servers differ in which one they read.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TypeVar

import msgspec

from yizhan.errors import AmbiguousField, BadJson

T = TypeVar("T")

KEYS_MAX = 256
WHOLE_MAX = 256 * 1024  # larger bodies are looked at in slices, so that none holds up its neighbours
_SLICE_TOKENS = 1500  # strings and brackets a slice: under 2 ms

Spans = dict[str, tuple[int, int]]  # key → where its value begins and ends in the body

_KEY = re.compile(rb'[ \t\n\r]*"((?:[^"\\]|\\.)*)"[ \t\n\r]*:[ \t\n\r]*')
_SPACE = re.compile(rb"[ \t\n\r]*")
_SCALAR = re.compile(rb"[^\s,}\]]+")
_MARK = re.compile(rb'["{}\[\]]')

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


def spans(body: bytes) -> Generator[None, None, Spans]:
    """Find the values of the object's own keys. Yields between slices of a large body; returns the spans.

    Raises BadJson, AmbiguousField. A large body is checked for its outline only; the upstream reads the rest.
    """
    if len(body) <= WHOLE_MAX:
        return spans_of_small(body)
    return (yield from _spans_of_large(body))


def spans_of_small(body: bytes) -> Spans:
    """Find the values of the own keys of an object of at most WHOLE_MAX bytes, at once."""
    try:
        values = _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadJson("the body is not a JSON object") from None
    return _spans_of_tight(body, values) or _spans_of_loose(body, values)


def finish(work: Generator[None, None, T]) -> T:
    """Run to the end at once what would otherwise be run in slices."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result


def _spans_of_tight(body: bytes, values: dict[str, msgspec.Raw]) -> Spans | None:
    """Add up where the values stand if nothing but the fields is in the body: no space between them, no key twice.

    Anything else only makes a body longer than that, so an equal length is the proof. None when it is not equal.
    """
    found: Spans = {}
    at = 1
    for key, value in values.items():
        start = at + len(key) + 3  # after the quotes and the colon
        end = start + len(value)
        found[key] = (start, end)
        at = end + 1
    return found if at == len(body) and len(found) <= KEYS_MAX else None


def _spans_of_loose(body: bytes, values: dict[str, msgspec.Raw]) -> Spans:
    found: Spans = {}
    at = _opening(body)
    if not values:
        return found
    while True:
        key, at = _key(body, at, found)
        value = bytes(values[key]) if key in values else b""
        if not value or not body.startswith(value, at):
            raise AmbiguousField(f"the field {key!r} stands twice in the request", param=key)
        found[key] = (at, at + len(value))
        at = _SPACE.match(body, at + len(value)).end()  # type: ignore[union-attr]  # it matches the empty string too
        if body[at] == 0x7D:
            return found
        at += 1


def _spans_of_large(body: bytes) -> Generator[None, None, Spans]:
    found: Spans = {}
    at = _SPACE.match(body, _opening(body)).end()  # type: ignore[union-attr]
    if body[at : at + 1] == b"}":
        return found
    while True:
        key, at = _key(body, at, found)
        end = yield from _end_of_value(body, at)
        found[key] = (at, end)
        at = _SPACE.match(body, end).end()  # type: ignore[union-attr]
        mark = body[at : at + 1]
        if mark == b"}":
            if body[at + 1 :].strip(b" \t\n\r"):
                raise BadJson("the body goes on after its JSON object")
            return found
        if mark != b",":
            raise BadJson(f"the body is not a JSON object: a comma is missing at byte {at}")
        at += 1


def _opening(body: bytes) -> int:
    at: int = _SPACE.match(body).end()  # type: ignore[union-attr]
    if body[at : at + 1] != b"{":
        raise BadJson("the body is not a JSON object")
    return at + 1


def _key(body: bytes, at: int, found: Spans) -> tuple[str, int]:
    match = _KEY.match(body, at)
    if match is None:
        raise BadJson(f"the body is not a JSON object: no key at byte {at}")
    try:
        key = _text.decode(b'"' + match[1] + b'"')
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadJson(f"the body is not a JSON object: no key at byte {at}") from None
    if key in found:
        raise AmbiguousField(f"the field {key!r} stands twice in the request", param=key)
    if len(found) >= KEYS_MAX:
        raise BadJson(f"the body has more than {KEYS_MAX} fields")
    return key, match.end()


def _end_of_value(body: bytes, at: int) -> Generator[None, None, int]:
    first = body[at : at + 1]
    if first == b'"':
        return _end_of_string(body, at)
    if first not in (b"{", b"["):
        scalar = _SCALAR.match(body, at)
        if scalar is None:
            raise BadJson(f"the body is not a JSON object: no value at byte {at}")
        return scalar.end()
    depth, tokens = 0, 0
    while True:
        mark = _MARK.search(body, at)
        if mark is None:
            raise BadJson("the body breaks off inside a value")
        tokens += 1
        if tokens % _SLICE_TOKENS == 0:
            yield
        sign = mark[0]
        if sign == b'"':
            at = _end_of_string(body, mark.start())
            continue
        at = mark.end()
        depth += 1 if sign in b"{[" else -1
        if depth == 0:
            return at


def _end_of_string(body: bytes, at: int) -> int:
    """Find the end of the string that begins at ``at``: the first quote with an even number of backslashes before."""
    end = at
    while True:
        end = body.find(b'"', end + 1)
        if end < 0:
            raise BadJson("the body breaks off inside a string")
        before = end
        while body[before - 1] == 0x5C:
            before -= 1
        if (end - before) % 2 == 0:
            return end + 1


def replaced(body: bytes, changes: dict[tuple[int, int], bytes]) -> bytes:
    """Put other bytes in place of some spans; everything else stays as it is."""
    pieces: list[bytes] = []
    at = 0
    for (start, end), value in sorted(changes.items()):
        pieces += (body[at:start], value)
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)
