import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan.protocols.counting import tokens_of
from yizhan.protocols.openai_chat_stream import StreamReader
from yizhan.protocols.usage import Usage

DONE = b"data: [DONE]\n\n"


def chunk(content: str | None = None, **more: Any) -> bytes:
    delta: dict[str, Any] = {} if content is None else {"content": content}
    body = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None, **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


USAGE = chunk(choices=[], usage={"prompt_tokens": 4, "completion_tokens": 2})


def reader(*, withhold_usage: bool = True) -> StreamReader:
    return StreamReader(withhold_usage=withhold_usage, frame_bytes_max=1 << 20)


def test_a_whole_stream_passes_but_for_the_usage_that_was_not_asked_for() -> None:
    stream = reader()
    assert stream.feed(chunk("Hel")) == chunk("Hel")
    assert stream.feed(chunk("lo") + USAGE + DONE) == chunk("lo") + DONE
    assert stream.done
    assert stream.usage == Usage(input=4, output=2)


def test_usage_that_was_asked_for_passes() -> None:
    stream = reader(withhold_usage=False)
    assert stream.feed(chunk("x") + USAGE + DONE) == chunk("x") + USAGE + DONE


def test_usage_on_a_chunk_with_content_passes_always() -> None:
    last = chunk("x", usage={"prompt_tokens": 1, "completion_tokens": 1})
    stream = reader()
    assert stream.feed(last) == last
    assert stream.usage == Usage(input=1, output=1)


@given(st.lists(st.integers(0, 2000), max_size=12), st.lists(st.text(max_size=9), max_size=9))
def test_wherever_the_bytes_are_split_the_caller_gets_the_same(cuts: list[int], words: list[str]) -> None:
    body = b": hello\n\n" + b"".join(map(chunk, ["", *words])) + b": ping\n\n" + USAGE + DONE
    stream = reader()
    points = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    out = b"".join(stream.feed(body[start:end]) for start, end in itertools.pairwise(points))
    assert out == body.replace(b": hello\n\n", b"", 1).replace(USAGE, b"", 1)
    assert stream.done
    assert not stream.broken
    assert stream.usage == Usage(input=4, output=2)


def test_nothing_is_given_back_before_the_first_good_frame() -> None:
    stream = reader()
    assert stream.feed(b": thinking\n\n") == b""
    assert not stream.began
    assert stream.feed(chunk("a")) == chunk("a")
    assert stream.feed(b": ping\n\n") == b": ping\n\n"


@pytest.mark.parametrize(
    "first", [b'data: {"error":{"message":"no"}}\n\n', b"data: <html>\n\n", DONE, b"data: " + b"x" * (1 << 21)]
)
def test_a_stream_that_opens_badly_is_broken_and_gives_nothing(first: bytes) -> None:
    stream = reader()
    assert stream.feed(first) == b""
    assert stream.broken
    assert not stream.began
    assert stream.feed(chunk("late")) == b""


def test_an_error_event_midway_is_the_last_thing_that_passes() -> None:
    stream = reader()
    error = b'data: {"error":{"message":"overloaded"}}\n\n'
    assert stream.feed(chunk("a") + error + chunk("b") + DONE) == chunk("a") + error
    assert stream.broken
    assert not stream.done


def test_an_unreadable_frame_midway_passes_and_is_counted() -> None:
    stream = reader()
    stream.feed(chunk("a"))
    assert stream.feed(b"data: ???\n\n") == b"data: ???\n\n"
    assert stream.count.tokens() == tokens_of("a???")


def test_a_frame_beyond_the_bound_breaks_the_stream() -> None:
    stream = StreamReader(withhold_usage=True, frame_bytes_max=400)
    stream.feed(chunk("a"))
    assert stream.feed(b"data: " + b"x" * 500) == b""
    assert stream.broken


def test_nothing_passes_after_the_end() -> None:
    stream = reader()
    stream.feed(chunk("a") + DONE)
    assert stream.feed(chunk("more")) == b""


def test_a_last_frame_without_its_blank_line_counts() -> None:
    stream = reader()
    stream.feed(chunk("a"))
    assert stream.end() == b""
    assert stream.feed(b"data: [DONE]") == b""
    assert stream.end() == DONE
    assert stream.done
    late = reader()
    late.feed(chunk("a") + DONE + chunk("x")[:-2])
    assert late.end() == b""


def test_everything_that_was_said_is_counted() -> None:
    stream = reader()
    delta = {"content": "abcd", "reasoning_content": "efgh", "reasoning": None, "refusal": "ijkl", "tool_calls": [1]}
    stream.feed(chunk(choices=[{"delta": delta}, {"delta": None}, {}]))
    assert stream.count.tokens() == tokens_of("abcdefghijkl[1]")


def test_a_delta_of_something_else_is_no_text() -> None:
    stream = reader()
    stream.feed(chunk(choices=[{"delta": {"content": ["parts"], "refusal": 5}}]))
    assert stream.count.tokens() == 0
