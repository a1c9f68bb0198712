"""Requests gone wrong, thousands of them from one seed: start lines, headers, framing, paths, sizes, JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One request as bytes. ``wrong``: it must be refused. ``whole``: an answer must come."""

    kind: str
    data: bytes
    wrong: bool
    whole: bool = True


class Draft(msgspec.Struct):
    """A good request, before something is done to it."""

    method: bytes
    path: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    chunked: bool = False

    def written(self) -> bytes:
        """Write it down as it stands."""
        lines = [b"%b %b HTTP/1.1" % (self.method, self.path), *(b"%b: %b" % pair for pair in self.headers)]
        return b"\r\n".join([*lines, b"", b""]) + self.body

    def set(self, name: bytes, value: bytes | None) -> None:
        """Replace a header, or take it away."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))

    def say(self, body: bytes) -> None:
        """Replace the body, and its length."""
        self.body = body
        self.set(b"Content-Length", b"%d" % len(body))


Mutate = Callable[[random.Random, Draft, dict[str, Any]], Mutant]
_JUNK: list[Any] = [None, True, -1, 0, 1e308, 2**70, "", "x" * 5000, [], {}, [[]], [None], {"a": {}}, "\ud800", "\x00"]
_DEEP = b'{"a":' * 3000 + b"1" + b"}" * 3000


def draft(key: str, model: str) -> tuple[Draft, dict[str, Any]]:
    """Make a good request and its JSON."""
    said: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    body = json.dumps(said).encode()
    headers = [
        (b"Host", b"station.test"),
        (b"Authorization", b"Bearer " + key.encode()),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Connection", b"close"),
    ]
    return Draft(b"POST", b"/v1/chat/completions", headers, body), said


def mutants(count: int, *, seed: int, key: str, model: str) -> Iterator[Mutant]:
    """Draw so many mutants; the same seed draws the same."""
    dice = random.Random(seed)
    for _ in range(count):
        good, said = draft(key, model)
        yield dice.choice(MUTATIONS)(dice, good, said)


def _raw_json(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    text = json.dumps(said).encode()
    at = dice.randrange(1, len(text))
    broken = [
        text[:at],
        text + b"}",
        b"",
        b"[]",
        b"null",
        b'"chat"',
        b"\xff\xfe" + text,
        text.replace(b'"', b"'"),
        text.replace(b"Hello", b"\xc3\x28"),
        text.replace(b"8}", b"NaN}"),
        _DEEP,
        b"[" * 100_000,
        b'{"model":1e999}',
    ]
    good.say(dice.choice(broken))
    return Mutant(kind="json", data=good.written(), wrong=True)


def _field(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    """Put junk where a field the station must understand should be."""
    name = dice.choice(["model", "messages"])
    junk = dice.choice([value for value in _JUNK if not (name == "messages" and isinstance(value, list))])
    said[name] = junk
    good.say(json.dumps(said).encode())
    return Mutant(kind=f"field {name}", data=good.written(), wrong=True)


def _soft_field(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    """Put junk where an upstream may or may not care."""
    names = ["max_tokens", "n", "stream", "stream_options", "tools", "temperature", "seen", "logit_bias", "metadata"]
    said[dice.choice(names)] = dice.choice(_JUNK)
    good.say(json.dumps(said).encode())
    return Mutant(kind="soft field", data=good.written(), wrong=False)


def _missing(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    del said[dice.choice(["model", "messages"])]
    good.say(json.dumps(said).encode())
    return Mutant(kind="missing field", data=good.written(), wrong=True)


def _twice(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    name = dice.choice(["model", "max_tokens", "messages", "stream", "n"])
    again = dice.choice([name, name.capitalize(), name.upper()])
    said.setdefault("stream", False)
    said.setdefault("n", 1)
    text = json.dumps(said).encode()
    good.say(text[:-1] + b', "%b": %b}' % (again.encode(), json.dumps(said[name]).encode()))
    return Mutant(kind="field twice", data=good.written(), wrong=True)


def _path(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    good.path = dice.choice(
        [
            b"/v1/chat/completionz",
            b"/v1/chat/completions/",
            b"//v1/chat/completions",
            b"/v1/../v1/chat/completions",
            b"/v1/%2e%2e/secrets",
            b"/v1/chat%2Fcompletions",
            b"/v1/chat/completions;x=1",
            b"/link",
            b"/internal/leases",
            b"/../../etc/passwd",
            b"/v1/" + b"a" * dice.randrange(1, 3000),
            b"/v1/" + bytes(dice.choice(b"abc%2F.~!$&'()*+,;=:@") for _ in range(40)),
            b"*",
            b"v1/chat/completions",
            b"/%00",
            b"/v1/chat/completions\xc3\xa9",
        ]
    )
    return Mutant(kind="path", data=good.written(), wrong=True)


def _method(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    good.method = dice.choice(
        [b"PUT", b"DELETE", b"PATCH", b"TRACE", b"BREW", b"post", b"P\x00ST", b"POST POST", b"Q" * 99]
    )
    return Mutant(kind="method", data=good.written(), wrong=True)


def _version(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    version = dice.choice([b"HTTP/3.0", b"HTTP/1.2.3", b"HTTP/x", b"HTTQ/1.1", b"", b"HTTP/1.1 extra", b"HTTP/9"])
    return Mutant(kind="version", data=good.written().replace(b"HTTP/1.1", version, 1), wrong=True)


def _framing(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    """Disagree about where the body ends."""
    size = b"%d" % len(good.body)
    odd = [
        [(b"Content-Length", size), (b"Content-Length", b"1")],
        [(b"Content-Length", size), (b"Transfer-Encoding", b"chunked")],
        [(b"Content-Length", b"+" + size)],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"0x10")],
        [(b"Content-Length", b"9" * 40)],
        [(b"Content-Length", size + b", " + size + b"1")],
        [(b"Content-Length", b"99999999999")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"chunked, identity")],
        [(b"Transfer-Encoding", b"xchunked")],
    ]
    good.set(b"Content-Length", None)
    good.headers += dice.choice(odd)
    return Mutant(kind="framing", data=good.written(), wrong=True)


def _chunks(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    good.set(b"Content-Length", None)
    good.set(b"Transfer-Encoding", b"chunked")
    size = b"%x" % len(good.body)
    good.body = dice.choice(
        [
            b"zz\r\n" + good.body,
            b"-5\r\n" + good.body,
            b"f" * 20 + b"\r\n" + good.body,
            size + b"\n" + good.body + b"\n0\n\n",
            size + b"\r\n" + good.body + b"XX0\r\n\r\n",
            b"\r\n" + good.body,
        ]
    )
    return Mutant(kind="chunks", data=good.written(), wrong=True)


def _header(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    bad = [
        (b"Bad Name", b"x"),
        (b"X-Bad", b"a\x00b"),
        (b"X-Bad", b"a\rb"),
        (b"", b"x"),
        (b"Host", b"second.test"),
        (b"X-Fold", b"a\r\n b"),
        (b"X\x7f", b"y"),
        (b"X-Long", b"y" * 70_000),
    ]
    if dice.random() < 0.1:
        good.headers += [(b"X-%d" % number, b"y") for number in range(dice.randrange(150, 400))]
    else:
        good.headers.insert(dice.randrange(len(good.headers)), dice.choice(bad))
    return Mutant(kind="header", data=good.written(), wrong=True)


def _no_host(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    good.set(b"Host", None)
    return Mutant(kind="no host", data=good.written(), wrong=True)


def _credentials(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    given = [None, b"", b"Bearer", b"Bearer ", b"Basic eDp5", b"Bearer sk-nobody", b"Bearer " + b"s" * 4000]
    given += [b"Bearer sk-\xff\xfe", b"Bearer  ", b"Digest x=y"]
    good.set(b"Authorization", dice.choice(given))
    return Mutant(kind="credentials", data=good.written(), wrong=True)


def _coding(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    good.headers.append((b"Content-Encoding", dice.choice([b"br", b"gzip", b"zstd", b"what", b"gzip, gzip"])))
    return Mutant(kind="coding", data=good.written(), wrong=True)


def _early_end(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    """Stop in the middle and close our side."""
    data = good.written()
    return Mutant(kind="early end", data=data[: dice.randrange(1, len(data))], wrong=True, whole=False)


def _flip(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    """Change a few bytes anywhere; what comes out may still be good, or wait for more."""
    data = bytearray(good.written())
    for _ in range(dice.randrange(1, 6)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return Mutant(kind="flip", data=bytes(data), wrong=False, whole=False)


def _noise(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    data = dice.choice([dice.randbytes(dice.randrange(1, 300)), b"\x16\x03\x01\x02\x00\x01" + dice.randbytes(50)])
    return Mutant(kind="noise", data=data, wrong=True, whole=False)


def _large(dice: random.Random, good: Draft, said: dict[str, Any]) -> Mutant:
    """Announce more than is allowed, and send none of it: the refusal must not wait for it."""
    good.set(b"Content-Length", b"%d" % dice.randrange(2**25 + 1, 2**40))
    good.body = b""
    return Mutant(kind="large", data=good.written(), wrong=True)


MUTATIONS: list[Mutate] = [
    *(_raw_json, _field, _soft_field, _missing, _twice, _path, _method, _version, _framing, _chunks, _header),
    *(_no_host, _credentials, _coding, _early_end, _flip, _noise, _large),
]
