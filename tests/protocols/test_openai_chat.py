import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from yizhan.errors import AmbiguousField, BadRequest, ModelNotFound, UnsupportedField
from yizhan.protocols import openai_chat
from yizhan.protocols.openai_chat import Wanted, encode_error, error_event, peek_small, with_model
from yizhan.protocols.openai_chat_answer import NotAnAnswer, WireUsage, read_answer, usage_of
from yizhan.protocols.toplevel import finish
from yizhan.protocols.usage import Usage


def peek(body: bytes) -> Wanted:
    wanted = finish(openai_chat.peek(body))
    assert peek_small(body) == wanted
    return wanted


def asked(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def test_what_matters_of_a_request_is_read() -> None:
    wanted = peek(asked(stream=True, max_tokens=7, n=3, stream_options={"include_usage": True}, modalities=["audio"]))
    assert (wanted.model, wanted.stream, wanted.usage_asked) == ("m", True, True)
    assert (wanted.output_cap, wanted.choices, wanted.audio) == (7, 3, True)


def test_an_explicit_null_is_as_good_as_absent() -> None:
    fields = ("stream", "max_tokens", "n", "stream_options", "modalities", "service_tier", "web_search_options")
    wanted = peek(asked(**dict.fromkeys(fields)))
    assert (wanted.stream, wanted.output_cap, wanted.choices, wanted.audio) == (False, None, 1, False)


def test_an_explicit_zero_is_not_absent() -> None:
    assert peek(asked(max_tokens=0)).output_cap == 0


def test_the_larger_of_two_output_caps_bounds_the_cost() -> None:
    assert peek(asked(max_tokens=5, max_completion_tokens=9)).output_cap == 9


def test_junk_that_real_clients_send_passes() -> None:
    wanted = peek(asked(tools=["x"], tool_choice={}, logit_bias=None, seen=1, best_of=1, service_tier="auto"))
    assert wanted.model == "m"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": 1.5}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": 2**40}, "max_completion_tokens"),
        ({"stream_options": []}, "stream_options"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        peek(asked(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"service_tier": "priority"}, "service_tier"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"best_of": 2}, "best_of"),
    ],
)
def test_what_has_no_price_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedField) as caught:
        peek(asked(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize("key", ["Model", "MAX_TOKENS", "Stream", "N", " n", "\u017ftream", "max_to\u212aens"])
def test_a_key_that_only_looks_like_a_cost_field_is_refused(key: str) -> None:
    with pytest.raises(AmbiguousField):
        peek(asked(**{key: 1}))


def test_the_fields_are_the_same_in_a_small_body_and_a_large_one() -> None:
    fields = {"n": 2, "max_tokens": 7, "unknown": {"n": 3}, "stream": True, "stream_options": {"include_usage": True}}
    small, large = peek(asked(**fields)), peek(asked(**fields, padding="p" * 8000))
    assert replace(small, body=b"", spans={}, text_bytes=0) == replace(large, body=b"", spans={}, text_bytes=0)
    with pytest.raises(BadRequest) as caught:
        peek(asked(n="two", padding="p" * 8000))
    assert caught.value.param == "n"


def test_a_request_without_model_or_messages_says_which() -> None:
    for body, param in ((b'{"messages":[]}', "model"), (b'{"model":"m"}', "messages")):
        with pytest.raises(BadRequest) as caught:
            peek(body)
        assert caught.value.param == param


def test_media_are_counted_apart_from_text() -> None:
    data = "A" * 4000
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "text", "text": "what is this?"},
    ]
    body = asked(messages=[{"role": "user", "content": parts}])
    wanted = peek(body)
    assert wanted.images == 2  # its type and its key: a bound, not a count
    assert len(body) - 4100 < wanted.text_bytes < len(body) - 3900
    assert openai_chat.estimated_input(wanted, image_tokens=1000) >= 2000


def test_base64_outside_the_messages_is_text_and_the_number_of_pieces_is_bounded() -> None:
    assert peek(asked(x="p" * 600 + ";base64,")).text_bytes > 600
    parts = [{"type": "image_url", "image_url": {"url": "data:;base64,AAAA"}}] * 1200
    body = asked(messages=[{"role": "user", "content": parts}])
    wanted = peek(body)
    assert wanted.images == 2400
    assert len(body) - wanted.text_bytes == 1000 * len(";base64,AAAA")


def test_a_large_body_is_bound_like_a_small_one() -> None:
    data = "A" * 400_000
    parts = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": f"data:;base64,{data}"}}]
    wanted = peek(asked(messages=[{"role": "user", "content": parts}], stream=True))
    assert (wanted.images, wanted.stream) == (2, True)
    assert wanted.text_bytes < 300


def test_a_large_body_with_a_broken_value_is_no_json() -> None:
    body = asked(x="p" * 400_000)[:-1] + b',"n":tru}'
    with pytest.raises(BadRequest, match="JSON"):
        peek(body)


invented = st.dictionaries(
    st.text(min_size=1).filter(lambda key: key.strip().casefold() not in openai_chat.COST_FIELDS),
    st.none() | st.integers() | st.text() | st.lists(st.integers()),
    max_size=5,
)


@given(invented, st.text(min_size=1), st.sampled_from([None, 1, "\t"]))
def test_swapping_the_model_leaves_everything_else_to_the_byte(
    fields: dict[str, Any], model: str, indent: int | str | None
) -> None:
    before = json.dumps({"a": 1, "model": "old", "messages": [], **fields}, indent=indent).encode()
    after = with_model(peek(before), model=model, ask_usage=False)
    assert json.loads(after)["model"] == model
    assert after == before.replace(b'"model": "old"', b'"model": ' + msgspec.json.encode(model), 1)


def test_the_same_model_leaves_the_body_untouched() -> None:
    body = asked(invented={"deep": [1.50, 1e5]}, stream=False)
    assert with_model(peek(body), model="m", ask_usage=True) is body


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False, "extra": 1.50}}]
)
def test_a_stream_is_asked_for_its_usage(options: dict[str, Any]) -> None:
    sent = json.loads(with_model(peek(asked(stream=True, **options)), model="m", ask_usage=True))
    assert sent["stream_options"]["include_usage"] is True
    assert sent["stream_options"].get("extra") == (options.get("stream_options") or {}).get("extra")


def test_a_caller_who_asked_for_usage_is_sent_as_is() -> None:
    body = asked(stream=True, stream_options={"include_usage": True})
    assert with_model(peek(body), model="m", ask_usage=True) is body


# -- usage and answers -------------------------------------------------------------------------------------------------


def test_overlapping_figures_become_classes_that_do_not_overlap() -> None:
    wire = msgspec.json.decode(
        b'{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,'
        b'"prompt_tokens_details":{"cached_tokens":30,"audio_tokens":5,"image_tokens":7,"cache_write_tokens":8},'
        b'"completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":1,"image_tokens":2}}',
        type=WireUsage,
    )
    assert usage_of(wire) == Usage(
        input=50,
        cached_input=30,
        cache_write_5m=8,
        image_input=7,
        audio_input=5,
        output=27,
        reasoning=20,
        image_output=2,
        audio_output=1,
    )


def test_deepseeks_cache_figure_counts_too() -> None:
    assert usage_of(WireUsage(prompt_tokens=10, prompt_cache_hit_tokens=4)) == Usage(input=6, cached_input=4)


figures = st.none() | st.integers(-5, 10**9)


@given(figures, figures, figures, figures)
def test_the_classes_always_add_up_to_the_totals(
    prompt: int | None, completion: int | None, cached: int | None, reasoning: int | None
) -> None:
    raw = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    usage = usage_of(msgspec.convert(raw, WireUsage))
    assert usage.input_total == max(prompt or 0, 0)
    assert usage.output_total == max(completion or 0, 0)
    assert min(msgspec.structs.astuple(usage)) >= 0


def test_a_reported_answer_is_billed_as_reported() -> None:
    body = b'{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
    answered = read_answer(body)
    assert answered.usage == Usage(input=3, output=2)


def test_an_unreported_answer_is_counted() -> None:
    message = {"content": "four words are here", "reasoning_content": "hm", "tool_calls": [{"id": 1}], "refusal": "no"}
    unreported: list[dict[str, Any]] = [{}, {"usage": None}, {"usage": {}}]
    for usage in unreported:
        answered = read_answer(json.dumps({"choices": [{"message": message}, {}], **usage}).encode())
        assert answered.usage is None
        assert 5 <= answered.counted <= 25


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"error":{"message":"x"},"choices":[]}',
        b'{"choices":null}',
        b'{"choices":5,"usage":{"prompt_tokens":3}}',
        b'{"choices":[5]}',
        b"[" * 100_000,
    ],
)
def test_a_200_that_is_no_answer_is_told_apart(body: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        read_answer(body)


def test_errors_have_openais_shape() -> None:
    error = ModelNotFound("no such model", param="model")
    body = json.loads(encode_error(error, request_id="req_1"))["error"]
    assert body["message"] == "no such model (request id: req_1)"
    assert (body["type"], body["code"], body["param"]) == ("invalid_request_error", "model_not_found", "model")
    event = error_event(error, request_id="req_1")
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")


def test_base64_that_never_ends_is_text_and_input_can_be_estimated_from_text() -> None:
    body = b'{"model":"m","messages":[],"x":' + b"1" * 600 + b"}" + b" ;base64,".replace(b" ;base64,", b" ")
    wanted = peek(body)
    assert wanted.text_bytes == len(body)
    assert openai_chat.estimated_input(wanted, image_tokens=1000) == pytest.approx(len(body) * 0.24, abs=1)
