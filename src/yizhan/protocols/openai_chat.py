"""OpenAI Chat Completions: what the station must know of a request and of an answer to route, bound and bill them.

Everything here is pure: no I/O, no clock, no settings. Source: OpenAI's API reference, chat completions.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Annotated

import msgspec
from msgspec import Meta

from yizhan.errors import AmbiguousField, BadJson, BadRequest, StationError, UnsupportedField
from yizhan.protocols.counting import tokens_of
from yizhan.protocols.toplevel import Spans, replaced, spans, spans_of_small

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

# Neither a cost field nor one that could be taken for it; only saves a closer look at each.
_HARMLESS = frozenset(
    {
        "temperature",
        "top_p",
        "stop",
        "seed",
        "user",
        "metadata",
        "store",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "verbosity",
        "safety_identifier",
        "prompt_cache_key",
    }
)
_USUAL = COST_FIELDS | _HARMLESS

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


_NULL = msgspec.Raw(b"null")


class _Fields(msgspec.Struct):
    """The fields that matter, each with the types that chat completions take."""

    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    n: Annotated[int, Meta(ge=1, le=N_MAX)] | None = None
    modalities: list[str] | None = None
    service_tier: str | None = None
    web_search_options: msgspec.Raw = _NULL
    best_of: msgspec.Raw = _NULL


_READ = frozenset(_Fields.__struct_fields__)
_TWICE_MAX = 4096  # a body so small is read a second time as a whole: quicker than putting pieces of it together
_fields = msgspec.json.Decoder(_Fields)


def peek(body: bytes) -> Generator[None, None, Wanted]:
    """Read what matters of a request; yields between slices of a large body.

    Raises BadJson, AmbiguousField, UnsupportedField, BadRequest with the field in ``param``.
    """
    found = yield from spans(body)
    return _wanted(body, found)


def peek_small(body: bytes) -> Wanted:
    """Do what ``peek`` does, at once, for a body of at most ``toplevel.WHOLE_MAX`` bytes."""
    return _wanted(body, spans_of_small(body))


def with_model(wanted: Wanted, *, model: str, ask_usage: bool) -> bytes:
    """Make the upstream's body: the caller's bytes with the model swapped and, if wished, the usage chunk asked for."""
    body = wanted.body
    start, end = wanted.spans["model"]
    named = body[start:end] if model == wanted.model else msgspec.json.encode(model)
    if ask_usage and wanted.stream and not wanted.usage_asked:
        changes = {(start, end): named}
        span = wanted.spans.get("stream_options")
        if span is not None:
            changes[span] = _with_usage(body[span[0] : span[1]])
        else:
            last = body.rindex(b"}")
            changes[(last, last)] = b',"stream_options":{"include_usage":true}'
        return replaced(body, changes)
    return body if model == wanted.model else b"%b%b%b" % (body[:start], named, body[end:])


def estimated_input(wanted: Wanted, *, image_tokens: int) -> int:
    """Estimate the input tokens of a request whose upstream never reported them."""
    if len(wanted.body) > wanted.text_bytes:  # has base64 data: the text is a small rest of it
        return wanted.text_bytes // 4 + wanted.images * image_tokens
    return tokens_of(wanted.body.decode("utf-8", "replace")) + wanted.images * image_tokens


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


def _wanted(body: bytes, found: Spans) -> Wanted:
    if not _USUAL.issuperset(found):
        _refuse_lookalikes(found)
    fields = _read(body, found)
    if not fields.model:
        raise BadRequest("the request names no model: set `model`", param="model")
    messages = found.get("messages")
    if messages is None:
        raise BadRequest("the request has no `messages`", param="messages")
    _refuse_unpriced(fields)
    images, base64_bytes = _media(body, messages)
    cap, cap_too = fields.max_tokens, fields.max_completion_tokens
    if cap is None or (cap_too is not None and cap_too > cap):
        cap = cap_too
    options = fields.stream_options
    return Wanted(
        model=fields.model,
        stream=fields.stream is True,
        usage_asked=options is not None and options.include_usage is True,
        output_cap=cap,
        choices=fields.n or 1,
        audio=fields.modalities is not None and "audio" in fields.modalities,
        images=images,
        text_bytes=len(body) - base64_bytes,
        body=body,
        spans=found,
    )


def _refuse_lookalikes(found: Spans) -> None:
    for key in found:
        if key not in _USUAL and key.strip().casefold() in COST_FIELDS:
            raise AmbiguousField(
                f"the field {key!r} could be read as {key.strip().casefold()!r}; spell it that way or leave it out",
                param=key,
            )


def _read(body: bytes, found: Spans) -> _Fields:
    """Decode the fields that matter. What else is in a large body is not looked at again."""
    if len(body) > _TWICE_MAX:
        picked = [b'"%b":%b' % (key.encode(), body[start:end]) for key, (start, end) in found.items() if key in _READ]
        body = b"{%b}" % b",".join(picked)
    try:
        return _fields.decode(body)
    except msgspec.ValidationError as error:
        path = _FIELD_AT_FAULT.search(str(error))
        param = path[1] if path is not None else None
        raise BadRequest(f"`{param}` is not what chat completions take: {error}", param=param) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadJson("the body is not a JSON object") from None


_FIELD_AT_FAULT = re.compile(r"`\$\.([a-z_]+)")


def _refuse_unpriced(fields: _Fields) -> None:
    if fields.service_tier not in _PLAIN_TIERS:
        raise UnsupportedField(
            f"service_tier {fields.service_tier!r} has no price here; leave it out or use 'default'",
            param="service_tier",
        )
    if fields.web_search_options is not _NULL and bytes(fields.web_search_options) != b"null":
        raise UnsupportedField("web search has no price here; leave web_search_options out", param="web_search_options")
    if fields.best_of is not _NULL and bytes(fields.best_of) not in {b"null", b"1"}:
        raise UnsupportedField("best_of is not a field of chat completions; use `n`", param="best_of")


def _with_usage(options: bytes) -> bytes:
    if options == b"null":
        return b'{"include_usage":true}'
    fields = msgspec.json.decode(options, type=dict[str, msgspec.Raw])
    fields["include_usage"] = msgspec.Raw(b"true")
    return msgspec.json.encode(fields)


_BASE64_PIECES_MAX = 1000
_MEDIA = (b'"image_url"', b'"input_audio"', b'"file"')


def _media(body: bytes, messages: tuple[int, int]) -> tuple[int, int]:
    """Bound the number of media parts, and add up the base64 data, which is media and not text.

    A part stands inside an array inside the array of messages: without a second bracket there is none.
    """
    start, end = messages
    if body.find(b"[", start + 1, end) < 0:
        return 0, 0
    parts = base64_bytes = 0
    at = start
    for _ in range(_BASE64_PIECES_MAX):
        mark = body.find(b";base64,", at, end)
        stop = mark if mark >= 0 else end
        parts += sum([body.count(kind, at, stop) for kind in _MEDIA])
        if mark < 0:
            return parts, base64_bytes
        at = body.index(b'"', mark, end)  # the string's end: one fast search over the data itself
        base64_bytes += at - mark
    return parts + sum([body.count(kind, at, end) for kind in _MEDIA]), base64_bytes
