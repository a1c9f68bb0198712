"""OpenAI Chat Completions: what the station must know of a request and of an answer to route, bound and bill them.

Everything here is pure: no I/O, no clock, no settings. Source: OpenAI's API reference, chat completions.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import msgspec

from yizhan.errors import AmbiguousField, BadRequest, StationError, UnsupportedField
from yizhan.protocols.counting import tokens_of
from yizhan.protocols.toplevel import Spans, replaced, spans
from yizhan.protocols.usage import Usage

_V = TypeVar("_V")

NAME = "openai_chat"
N_MAX = 128  # OpenAI's own bound
DONE = b"[DONE]"

COST_FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "best_of",
        "service_tier",
        "web_search_options",
        "modalities",
        "tools",
        "prediction",
    }
)

_PLAIN_TIERS = (None, "auto", "default", "flex")  # what the price book's one rate covers; "flex" costs less


class Wanted(msgspec.Struct, frozen=True):
    """What a request asks for, as far as routing and money are concerned."""

    model: str
    stream: bool
    usage_asked: bool  # the caller itself wants the usage chunk of a stream
    output_cap: int | None  # tokens, each choice
    choices: int
    audio: bool
    images: int
    text_bytes: int  # of the whole body, less what is base64 data
    body: bytes
    spans: Spans


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


def peek(body: bytes) -> Generator[None, None, Wanted]:
    """Read what matters of a request; yields between slices of a large body.

    Raises BadJson, AmbiguousField, UnsupportedField, BadRequest with the field in ``param``.
    """
    found = yield from spans(body)
    _refuse_lookalikes(found)
    _refuse_unpriced(body, found)
    model = _value(body, found, "model", str)
    if not model:
        raise BadRequest("the request names no model: set `model`", param="model")
    if "messages" not in found:
        raise BadRequest("the request has no `messages`", param="messages")
    base64_bytes = _base64_bytes(body) if len(body) > 512 else 0
    options = _value(body, found, "stream_options", _StreamOptions)
    return Wanted(
        model=model,
        stream=bool(_value(body, found, "stream", bool)),
        usage_asked=options is not None and bool(options.include_usage),
        output_cap=_output_cap(body, found),
        choices=_count(body, found, "n", least=1, most=N_MAX) or 1,
        audio="audio" in (_value(body, found, "modalities", list[str]) or ()),
        images=body.count(b'"image_url"') + body.count(b'"file"') + body.count(b'"input_audio"'),
        text_bytes=len(body) - base64_bytes,
        body=body,
        spans=found,
    )


def with_model(wanted: Wanted, *, model: str, ask_usage: bool) -> bytes:
    """Make the upstream's body: the caller's bytes with the model swapped and, if wished, the usage chunk asked for."""
    changes: dict[tuple[int, int], bytes] = {}
    if model != wanted.model:
        changes[wanted.spans["model"]] = msgspec.json.encode(model)
    if ask_usage and wanted.stream and not wanted.usage_asked:
        span = wanted.spans.get("stream_options")
        if span is not None:
            changes[span] = _with_usage(wanted.body[span[0] : span[1]])
        else:
            end = wanted.body.rindex(b"}")
            changes[(end, end)] = b',"stream_options":{"include_usage":true}'
    return replaced(wanted.body, changes) if changes else wanted.body


def estimated_input(wanted: Wanted, *, image_tokens: int) -> int:
    """Estimate the input tokens of a request whose upstream never reported them."""
    if len(wanted.body) > wanted.text_bytes:  # has base64 data: the text is a small rest of it
        return wanted.text_bytes // 4 + wanted.images * image_tokens
    return tokens_of(wanted.body.decode("utf-8", "replace")) + wanted.images * image_tokens


# -- answers -----------------------------------------------------------------------------------------------------------


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """The ``usage`` object. Prompt tokens contain the cached ones, completion tokens the reasoning."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's way


def usage_of(wire: WireUsage) -> Usage:
    """Sort OpenAI's overlapping figures into classes that do not overlap. Negative figures count as none."""
    inner = wire.prompt_tokens_details or _PromptDetails()
    outer = wire.completion_tokens_details or _CompletionDetails()
    left = _Left(wire.prompt_tokens)
    cached = left.take(inner.cached_tokens if inner.cached_tokens is not None else wire.prompt_cache_hit_tokens)
    written = left.take(inner.cache_write_tokens)
    audio_in, image_in = left.take(inner.audio_tokens), left.take(inner.image_tokens)
    out = _Left(wire.completion_tokens)
    reasoning = out.take(outer.reasoning_tokens)
    audio_out, image_out = out.take(outer.audio_tokens), out.take(outer.image_tokens)
    return Usage(
        input=left.rest,
        cached_input=cached,
        cache_write_5m=written,
        image_input=image_in,
        audio_input=audio_in,
        output=out.rest,
        reasoning=reasoning,
        image_output=image_out,
        audio_output=audio_out,
    )


class _Left:
    """What is left of a total when its parts are taken out; a part never exceeds it."""

    __slots__ = ("rest",)

    def __init__(self, total: int | None) -> None:
        self.rest = max(total or 0, 0)

    def take(self, part: int | None) -> int:
        taken = min(max(part or 0, 0), self.rest)
        self.rest -= taken
        return taken


_NULL = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    content: msgspec.Raw = _NULL
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = _NULL


class _AnswerChoice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)


class _Answer(msgspec.Struct):
    choices: list[_AnswerChoice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = _NULL


_answer = msgspec.json.Decoder(_Answer)


class Answered(msgspec.Struct, frozen=True):
    """What a whole answer says for the bill: reported usage, or output tokens counted where there is none."""

    usage: Usage | None
    counted: int


class NotAnAnswer(Exception):
    """A body that is not a chat completion, though its status said so."""


def read_answer(body: bytes) -> Answered:
    """Read a whole answer; raises NotAnAnswer for an error or garbage that came with a 200."""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAnAnswer("the upstream's answer is not a chat completion") from None
    if answer.choices is None or bytes(answer.error) != b"null":
        raise NotAnAnswer("the upstream answered with an error")
    if answer.usage is not None and answer.usage.prompt_tokens is not None:
        return Answered(usage_of(answer.usage), 0)
    counted = 0
    for choice in answer.choices:
        for part in (choice.message.content, choice.message.tool_calls):
            if bytes(part) != b"null":
                counted += tokens_of(bytes(part).decode("utf-8", "replace"))
        counted += tokens_of(choice.message.reasoning_content or "") + tokens_of(choice.message.refusal or "")
    return Answered(None, counted)


# -- errors ------------------------------------------------------------------------------------------------------------


class _WireError(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str
    request_id: str


class _ErrorBody(msgspec.Struct):
    error: _WireError


def encode_error(error: StationError, *, request_id: str) -> bytes:
    """Say an error in OpenAI's shape."""
    return msgspec.json.encode(
        _ErrorBody(
            _WireError(
                message=f"{error} (request id: {request_id})",
                type=error.kind,
                param=error.param,
                code=error.code,
                request_id=request_id,
            )
        )
    )


def error_event(error: StationError, *, request_id: str) -> bytes:
    """Say an error inside a stream that has begun: one event, after which nothing follows."""
    return b"data: " + encode_error(error, request_id=request_id) + b"\n\n"


# -- the request's fields ----------------------------------------------------------------------------------------------


def _refuse_lookalikes(found: Spans) -> None:
    for key in found:
        if key not in COST_FIELDS and key.strip().casefold() in COST_FIELDS:
            raise AmbiguousField(
                f"the field {key!r} could be read as {key.strip().casefold()!r}; spell it that way or leave it out",
                param=key,
            )


def _refuse_unpriced(body: bytes, found: Spans) -> None:
    if "service_tier" in found:
        tier = _value(body, found, "service_tier", str)
        if tier not in _PLAIN_TIERS:
            raise UnsupportedField(
                f"service_tier {tier!r} has no price here; leave it out or use 'default'", param="service_tier"
            )
    if "web_search_options" in found and _raw(body, found, "web_search_options") != b"null":
        raise UnsupportedField("web search has no price here; leave web_search_options out", param="web_search_options")
    if "best_of" in found and _raw(body, found, "best_of") not in (b"null", b"1"):
        raise UnsupportedField("best_of is not a field of chat completions; use `n`", param="best_of")


def _raw(body: bytes, found: Spans, key: str) -> bytes:
    start, end = found[key]
    return body[start:end]


_decoders: dict[object, msgspec.json.Decoder[object]] = {}


def _value(body: bytes, found: Spans, key: str, kind: type[_V]) -> _V | None:
    if key not in found:
        return None
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind | None)
    try:
        return decoder.decode(_raw(body, found, key))  # type: ignore[return-value]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(f"`{key}` is not of the type that chat completions take", param=key) from None


def _count(body: bytes, found: Spans, key: str, *, least: int, most: int) -> int | None:
    value = _value(body, found, key, int)
    if value is not None and not least <= value <= most:
        raise BadRequest(f"`{key}` must be between {least} and {most}", param=key)
    return value


def _output_cap(body: bytes, found: Spans) -> int | None:
    caps = [_count(body, found, key, least=0, most=2**31) for key in ("max_tokens", "max_completion_tokens")]
    return max((cap for cap in caps if cap is not None), default=None)


def _with_usage(options: bytes) -> bytes:
    if options == b"null":
        return b'{"include_usage":true}'
    fields = msgspec.json.decode(options, type=dict[str, msgspec.Raw])
    fields["include_usage"] = msgspec.Raw(b"true")
    return msgspec.json.encode(fields)


_BASE64_PIECES_MAX = 1000


def _base64_bytes(body: bytes) -> int:
    """Add up the base64 data in data URIs and ``data`` fields, which is media, not text."""
    total, at = 0, 0
    for _ in range(_BASE64_PIECES_MAX):
        start = body.find(b";base64,", at)
        if start < 0:
            break
        end = body.find(b'"', start)
        if end < 0:
            break
        total += end - start
        at = end
    return total
