"""What the answer of a chat completion says for the bill. Pure. Source: OpenAI's API reference, chat completions."""

from __future__ import annotations

import msgspec

from yizhan.protocols.counting import tokens_of
from yizhan.protocols.usage import Usage

_NULL = msgspec.Raw(b"null")
_ARRAY = ord("[")


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
    """Sort OpenAI's overlapping figures into classes that do not overlap; a part never exceeds what is left.

    Negative figures count as none.
    """
    inputs = outputs = _NO_PARTS
    left = max(wire.prompt_tokens or 0, 0)
    out = max(wire.completion_tokens or 0, 0)
    if (inner := wire.prompt_tokens_details) is not None:
        cached = inner.cached_tokens if inner.cached_tokens is not None else wire.prompt_cache_hit_tokens
        inputs = _parts(left, cached, inner.cache_write_tokens, inner.audio_tokens, inner.image_tokens)
    elif wire.prompt_cache_hit_tokens:
        inputs = _parts(left, wire.prompt_cache_hit_tokens, None, None, None)
    if (outer := wire.completion_tokens_details) is not None:
        outputs = _parts(out, outer.reasoning_tokens, outer.audio_tokens, outer.image_tokens, None)
    if inputs is outputs:  # both are _NO_PARTS
        return Usage(left, 0, 0, 0, 0, 0, out)
    cached_input, written, audio_input, image_input = inputs
    reasoning, audio_output, image_output, _ = outputs
    return Usage(
        left - sum(inputs),
        cached_input,
        written,
        0,
        image_input,
        audio_input,
        out - sum(outputs),
        reasoning,
        image_output,
        audio_output,
    )


_NO_PARTS = (0, 0, 0, 0)


def _parts(
    left: int, first: int | None, second: int | None, third: int | None, fourth: int | None
) -> tuple[int, int, int, int]:
    """Take parts out of a total, in order."""
    if not (first or second or third or fourth):
        return _NO_PARTS
    taken: list[int] = []
    for part in (first, second, third, fourth):
        taken.append(min(max(part or 0, 0), left))
        left -= taken[-1]
    return taken[0], taken[1], taken[2], taken[3]


class _Message(msgspec.Struct):
    content: msgspec.Raw = _NULL
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = _NULL


class _AnswerChoice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)


class _Answer(msgspec.Struct):
    choices: msgspec.Raw = _NULL  # looked into only where usage is missing
    usage: WireUsage | None = None
    error: msgspec.Raw = _NULL


_answer = msgspec.json.Decoder(_Answer)
_choices = msgspec.json.Decoder(list[_AnswerChoice])


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
        if answer.choices is _NULL or (answer.error is not _NULL and bytes(answer.error) != b"null"):
            raise NotAnAnswer("the upstream answered with an error")
        usage = answer.usage
        if usage is not None and usage.prompt_tokens is not None and memoryview(answer.choices)[0] == _ARRAY:
            return Answered(usage_of(usage), 0)
        choices = _choices.decode(answer.choices)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAnAnswer("the upstream's answer is not a chat completion") from None
    counted = 0
    for choice in choices:
        for part in (choice.message.content, choice.message.tool_calls):
            if bytes(part) != b"null":
                counted += tokens_of(bytes(part).decode("utf-8", "replace"))
        counted += tokens_of(choice.message.reasoning_content or "") + tokens_of(choice.message.refusal or "")
    return Answered(None, counted)
