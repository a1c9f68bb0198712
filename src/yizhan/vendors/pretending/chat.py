"""The pretend vendor's OpenAI Chat: requests in, answers and stream frames out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from yizhan.vendors.pretending.answer import Answer, BadWish, Bill, Frame, Wish, count_tokens

_CHOICES_MAX = 16
_IMAGE_TOKENS = 85
_MESSAGE_TOKENS = 3
_encode = msgspec.json.encode


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    user: str | None = None


_decoder = msgspec.json.Decoder(_Request)


class Chat:
    """OpenAI Chat Completions, as a ``Wire``."""

    last = b"data: [DONE]\n\n"

    def read(self, body: bytes) -> Wish:
        """Read a request; raises BadWish."""
        try:
            request = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested without end
            raise BadWish(str(error)) from None
        if not request.messages:
            raise BadWish("messages must not be empty", "messages")
        choices = 1 if request.n is None else request.n
        if not 1 <= choices <= _CHOICES_MAX:
            raise BadWish(f"n must be between 1 and {_CHOICES_MAX}", "n")
        limits = [limit for limit in (request.max_tokens, request.max_completion_tokens) if limit is not None]
        if any(limit < 1 for limit in limits):
            raise BadWish("max_tokens must be at least 1", "max_tokens")
        asked = request.stream_options is not None and bool(request.stream_options.include_usage)
        texts = [_text(message) for message in request.messages]
        spoken = [text for text, message in zip(texts, request.messages, strict=True) if message.role == "user"]
        return Wish(
            model=request.model,
            stream=bool(request.stream),
            text=spoken[-1] if spoken else "",
            seed_text="\n".join(texts).encode(),
            prompt_tokens=sum(map(_count, request.messages)),
            tokens_max=min(limits) if limits else None,
            choices=choices,
            report_usage=asked,
            marker=request.user or "",
        )

    def whole(self, answer: Answer) -> bytes:
        """Word an answer that is not a stream."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": " ".join(words), "refusal": None},
                "logprobs": None,
                "finish_reason": answer.finish,
            }
            for index, words in enumerate(answer.choices)
        ]
        said: dict[str, Any] = {**_common(answer, "chat.completion"), "choices": choices}
        if answer.behaviour.usage != "none":
            said["usage"] = _usage(answer.bill, answer.behaviour.usage)
        return _encode(said)

    def frames(self, answer: Answer, *, report_usage: bool) -> Iterator[Frame]:
        """Word a stream: the role, a token a frame, the finish, and the usage where it was asked for."""
        report = report_usage and answer.behaviour.usage != "none"
        common = _encode(_common(answer, "chat.completion.chunk"))[:-1]
        tail = b',"usage":null}\n\n' if report else b"}\n\n"

        def frame(index: int, delta: bytes, finish: str | None = None) -> bytes:
            choice = b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}' % (index, delta, _encode(finish))
            return b"data: %b,%b%b" % (common, b'"choices":[%b]' % choice, tail)

        for index in range(len(answer.choices)):
            yield Frame(frame(index, b'{"role":"assistant","content":"","refusal":null}'))
        for place in range(max(map(len, answer.choices))):
            for index, words in enumerate(answer.choices):
                word = words[place] if place == 0 else " " + words[place]
                yield Frame(frame(index, b'{"content":%b}' % _encode(word)), 1)
        for index in range(len(answer.choices)):
            yield Frame(frame(index, b"{}", answer.finish))
        if report:
            usage = _encode(_usage(answer.bill, answer.behaviour.usage))
            yield Frame(b'data: %b,"choices":[],"usage":%b}\n\n' % (common, usage))

    def error(self, status: int, message: str, *, param: str | None = None) -> bytes:
        """Word an error's body."""
        kind, code = _ERRORS.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
        return _encode({"error": {"message": message, "type": kind, "param": param, "code": code}})

    def error_frame(self, message: str) -> Frame:
        """Word an error within a stream."""
        return Frame(b"data: " + self.error(500, message) + b"\n\n")


_ERRORS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", "invalid_value"),
    401: ("authentication_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("service_unavailable", None),
}


def _common(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.id,
        "object": kind,
        "created": answer.created_s,
        "model": answer.model,
        "system_fingerprint": "fp_pretend",
    }


def _usage(bill: Bill, mode: str) -> dict[str, Any]:
    if mode == "wrong":
        return {"prompt_tokens": -1, "completion_tokens": "many", "total_tokens": None}
    times = 1000 if mode == "inflated" else 1
    return {
        "prompt_tokens": bill.prompt * times,
        "completion_tokens": bill.completion * times,
        "total_tokens": (bill.prompt + bill.completion) * times,
        "prompt_tokens_details": {"cached_tokens": bill.cached * times, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": bill.reasoning * times, "audio_tokens": 0},
    }


def _text(message: _Message) -> str:
    if isinstance(message.content, str):
        return message.content
    parts = [part.get("text") for part in message.content or ()]
    return "\n".join(text for text in parts if isinstance(text, str))


def _count(message: _Message) -> int:
    images = 0
    if isinstance(message.content, list):
        images = sum(part.get("type") == "image_url" for part in message.content)
    return _MESSAGE_TOKENS + count_tokens(_text(message)) + images * _IMAGE_TOKENS
