"""How the pretend vendor decides what to do with a request: options in one grammar, from whoever may set them.

Options are ``name=value`` words. They come, the later winning, from the command line, from the model's name
(``pretend-fault-reset``, ``pretend-status-429``), from the script (by model, by a mix, from a queue), and from a line
``pretend: …`` in the request's last user message.
"""

from __future__ import annotations

import hashlib
from collections import deque
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

QUEUE_MAX = 100_000

FAULTS = {
    "reset": "the connection is reset without a byte",
    "reset_after": "reset when so many frames were sent; 0 is after the headers",
    "cut": "closed without the body's end when so many frames were sent",
    "truncate": "the body ends well but early, after so many frames, without its last marker; a plain answer is cut",
    "stall": "nothing more after so many frames",
    "error": "status 200, and an error in the vendor's shape after so many frames",
    "empty": "status 200 and nothing in the body",
    "garbage": "bytes that are not HTTP",
    "not_json": "status 200 and a page of HTML",
    "short_length": "Content-Length says less than is sent",
    "huge": "one frame with so many bytes of text",
}


class BadOption(ValueError):
    """An option nobody knows, or a value it cannot have."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with one request."""

    tokens: Annotated[int, Meta(ge=0, le=1_000_000)] = 16
    prompt_tokens: Annotated[int, Meta(ge=0)] | None = None  # None: counted from the text
    cached: Annotated[int, Meta(ge=0)] = 0
    reasoning: Annotated[int, Meta(ge=0)] = 0
    first_byte_ms: Annotated[float, Meta(ge=0)] = 0
    chunk_ms: Annotated[float, Meta(ge=0)] = 0
    status: Annotated[int, Meta(ge=200, le=599)] = 200
    retry_after: Annotated[int, Meta(ge=0)] | None = None
    usage: Literal["true", "none", "wrong", "inflated"] = "true"
    fault: str = ""  # a name of FAULTS
    fault_at: Annotated[int, Meta(ge=0)] = 0  # the number after the fault's colon
    id: str = ""


@lru_cache(maxsize=4096)
def read_options(text: str) -> dict[str, str]:
    """Split ``tokens=5 fault=reset_after:3``; raises BadOption for words that are not name=value."""
    options: dict[str, str] = {}
    for word in text.split():
        name, mark, value = word.partition("=")
        if not mark:
            raise BadOption(f"{word!r} is not an option; write name=value")
        if name == "fault":
            value, _, at = value.partition(":")
            if value and value not in FAULTS:
                raise BadOption(f"no fault {value!r}; there are {', '.join(FAULTS)}")
            options["fault_at"] = at or "0"
        options[name] = value
    return options


def behaviour(options: dict[str, str]) -> Behaviour:
    """Read the options as a behaviour; raises BadOption for what it does not know."""
    try:
        return msgspec.convert(options, Behaviour, strict=False)
    except msgspec.ValidationError as error:
        raise BadOption(str(error)) from None


class Orders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /_pretend/script``; what is absent stays as it was."""

    queue: list[str] | None = None  # options for the next requests, one each, added to what waits
    mix: list[tuple[float, str]] | None = None  # (probability, options); what is left of 1 behaves well
    models: dict[str, str] | None = None  # options by model name
    seed: int | None = None
    refuse: int | None = None  # connections to reset as soon as they are accepted


class Script:
    """The orders in force. The same seed and the same requests in the same order give the same behaviour."""

    def __init__(self, *, seed: int = 0, defaults: str = "") -> None:
        self.defaults = _checked(defaults)
        self.seed = seed
        self._first_seed = seed
        self.reset()

    def reset(self) -> None:
        """Forget all orders."""
        self.seed = self._first_seed
        self._queue: deque[dict[str, str]] = deque()
        self._mix: list[tuple[float, dict[str, str]]] = []
        self._models: dict[str, dict[str, str]] = {}
        self._drawn = 0
        self._refuse = 0

    def obey(self, orders: Orders) -> None:
        """Take new orders; raises BadOption, with nothing changed, where one cannot be read."""
        queue = [_checked(text) for text in orders.queue or ()]
        mix = [(chance, _checked(text)) for chance, text in orders.mix or ()]
        models = {name: _checked(text) for name, text in (orders.models or {}).items()}
        if len(self._queue) + len(queue) > QUEUE_MAX:
            raise BadOption(f"more than {QUEUE_MAX} orders would wait")
        self._queue.extend(queue)
        self._models.update(models)
        if orders.mix is not None:
            self._mix = mix
        if orders.seed is not None:
            self.seed, self._drawn = orders.seed, 0
        if orders.refuse is not None:
            self._refuse = orders.refuse

    def refuses(self) -> bool:
        """Say whether the connection just accepted is to be reset."""
        if self._refuse == 0:
            return False
        self._refuse -= 1
        return True

    def choose(self, model: str, text: str) -> Behaviour:
        """Decide on the next request, from its model and its last user message; raises BadOption."""
        options = dict(self.defaults)
        options.update(_by_name(model))
        options.update(self._models.get(model, ()))
        if self._mix:
            options.update(self._draw())
        if self._queue:
            options.update(self._queue.popleft())
        if "pretend:" in text:
            options.update(_by_message(text))
        return behaviour(options)

    def _draw(self) -> dict[str, str]:
        self._drawn += 1
        digest = hashlib.blake2b(f"{self.seed}:{self._drawn}".encode(), digest_size=8).digest()
        point = int.from_bytes(digest, "big") / 2**64
        for chance, options in self._mix:
            if point < chance:
                return options
            point -= chance
        return {}


def _checked(text: str) -> dict[str, str]:
    options = read_options(text)
    behaviour(options)
    return options


def _by_name(model: str) -> dict[str, str]:
    _, mark, fault = model.partition("pretend-fault-")
    if mark:
        return read_options(f"fault={fault}")
    _, mark, status = model.partition("pretend-status-")
    return read_options(f"status={status}") if mark else {}


def _by_message(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("pretend:"):
            options.update(read_options(line[8:]))
    return options
