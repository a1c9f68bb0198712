"""What the pretend vendor says, before any wire protocol: the same words and figures for the same request and seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Protocol

import msgspec

from yizhan.vendors.pretending.script import Behaviour

_TEXT = (
    "the rider changed horses at dawn and the letter went on over hill river snow sand bridge gate market harbour "
    "lamp tea ink seal road north south moon rain wind salt silk stone pine crane tiger 驿站 快马 书信 长安 山河 明月"
)
_WORDS = _TEXT.split()
_MASK = 2**64 - 1


class BadWish(ValueError):
    """A request the vendor cannot read; ``param`` names the field at fault."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A request, as far as the pretend vendor cares."""

    model: str
    stream: bool
    text: str  # the last user message
    seed_text: bytes  # what the answer's words come from
    prompt_tokens: int
    tokens_max: int | None
    choices: int
    report_usage: bool  # on a stream: asked for
    marker: str  # whom the caller says this is, or ""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What the vendor counted, truthfully."""

    prompt: int
    completion: int
    cached: int
    reasoning: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, ready to be worded in any protocol."""

    id: str
    created_s: int
    model: str
    choices: list[list[str]]  # the words of each choice; a word is a token
    finish: str  # stop · length
    bill: Bill
    behaviour: Behaviour


class Frame(msgspec.Struct, frozen=True):
    """One event of a stream, and how many tokens of the answer it carries."""

    data: bytes
    tokens: int = 0


class Wire(Protocol):
    """A protocol the pretend vendor speaks: pure functions from bytes to bytes."""

    last: bytes  # what ends a good stream, or b""

    def read(self, body: bytes) -> Wish:
        """Read a request; raises BadWish."""

    def whole(self, answer: Answer) -> bytes:
        """Word an answer that is not a stream."""

    def frames(self, answer: Answer, *, report_usage: bool) -> Iterator[Frame]:
        """Word a stream up to, but not with, ``last``."""

    def error(self, status: int, message: str, *, param: str | None = None) -> bytes:
        """Word an error's body."""

    def error_frame(self, message: str) -> Frame:
        """Word an error within a stream."""


def compose(wish: Wish, behaviour: Behaviour, *, seed: int, number: int, created_s: int) -> Answer:
    """Make up an answer. Pure: words depend on the seed and the request, never on ``number``."""
    tokens = behaviour.tokens
    finish = "stop"
    if wish.tokens_max is not None and wish.tokens_max < tokens:
        tokens, finish = wish.tokens_max, "length"
    if behaviour.fault == "huge":
        tokens = min(tokens, 1)
    prompt = wish.prompt_tokens if behaviour.prompt_tokens is None else behaviour.prompt_tokens
    completion = tokens * wish.choices
    state = int.from_bytes(hashlib.blake2b(b"%d:" % seed + wish.seed_text, digest_size=8).digest(), "big")
    choices = [_words(state + index, tokens) for index in range(wish.choices)]
    if behaviour.fault == "huge":
        choices = [["x" * behaviour.fault_at] * tokens for _ in choices]
    return Answer(
        id=f"chatcmpl-pretend-{number}",
        created_s=created_s,
        model=wish.model,
        choices=choices,
        finish=finish,
        bill=Bill(
            prompt=prompt,
            completion=completion,
            cached=min(behaviour.cached, prompt),
            reasoning=min(behaviour.reasoning, completion),
        ),
        behaviour=behaviour,
    )


def _words(state: int, count: int) -> list[str]:
    words = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & _MASK  # Knuth's generator: the same everywhere
        words.append(_WORDS[(state >> 33) % len(_WORDS)])
    return words


def count_tokens(text: str) -> int:
    """Count a text as the pretend vendor bills it: one token for every four bytes begun."""
    return (len(text.encode()) + 3) // 4
