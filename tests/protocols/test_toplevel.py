import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan.errors import AmbiguousField, BadJson, BadRequest
from yizhan.protocols import toplevel
from yizhan.protocols.toplevel import KEYS_MAX, WHOLE_MAX, Spans, finish, replaced, spans

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text(), values, max_size=8)
PADDING = "x" * WHOLE_MAX


def found_in(body: bytes) -> Spans:
    return finish(spans(body))


def read_back(body: bytes) -> dict[str, Any]:
    return {key: json.loads(body[start:end]) for key, (start, end) in found_in(body).items()}


@given(objects, st.sampled_from([None, 0, 3]), st.booleans())
def test_every_value_is_found_where_it_stands(fields: dict[str, Any], indent: int | None, escaped: bool) -> None:
    body = json.dumps(fields, indent=indent, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    assert read_back(body) == fields


@given(objects, st.sampled_from([None, 2]))
def test_a_large_body_is_read_the_same(fields: dict[str, Any], indent: int | None) -> None:
    whole = {**fields, "padding": PADDING}
    assert read_back(json.dumps(whole, indent=indent).encode()) == whole


def test_an_empty_object_has_no_fields() -> None:
    assert found_in(b" {} ") == {}
    assert found_in(b"{" + b" " * WHOLE_MAX + b"}") == {}


def test_a_large_body_is_looked_at_in_slices() -> None:
    body = json.dumps({"messages": [{"a": ["b"]}] * 40_000}).encode()
    slices = sum(1 for _ in spans(body))
    assert slices > 20


def test_finish_runs_through_the_slices() -> None:
    body = json.dumps({"messages": [{"a": ["b"]}] * 40_000}).encode()
    assert set(found_in(body)) == {"messages"}


@pytest.mark.parametrize("padding", ["", PADDING])
@pytest.mark.parametrize(
    "text",
    [
        '{"model":"a","x":1,"model":"b","p":"%s"}',
        '{"model":"a","x":1,"model":"a","p":"%s"}',
        '{"model":"a","mod\\u0065l":"b","p":"%s"}',
        '{"x":{"model":1},"x":{"model":1},"p":"%s"}',
    ],
)
def test_a_key_that_stands_twice_is_refused(text: str, padding: str) -> None:
    with pytest.raises(AmbiguousField, match="twice"):
        found_in((text % padding).encode())


def test_the_same_key_deeper_down_is_no_matter() -> None:
    assert set(found_in(b'{"a":{"a":{"a":1}},"b":[{"a":2}]}')) == {"a", "b"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b'"x"',
        b"{",
        b'{"a"}',
        b'{"a":}',
        b'{"a":1,}',
        b"{a:1}",
        b'{"a":1}x',
        b"\xff",
        b"[" * 100000,
        b'{"a":' + b"[" * 100000,
    ],  # deeper than a parser can go
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        found_in(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"p":"%s"}x',
        b'{"p":"%s" "q":1}',
        b'{"p":"%s","q":}',
        b'{"p":"%s","q":"unfinished}',
        b'{"p":"%s","q":[[1]',
        b'{"p":"%s",q:1}',
        b'{"p":"%s","\\q":1}',
        b'["%s"]',
    ],
)
def test_a_large_body_with_a_broken_outline_is_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        found_in(body.replace(b"%s", PADDING.encode()))


def test_the_number_of_fields_is_bounded() -> None:
    fits = json.dumps(dict.fromkeys(map(str, range(KEYS_MAX)), 1)).encode()
    assert len(found_in(fits)) == KEYS_MAX
    with pytest.raises(BadJson, match="fields"):
        found_in(json.dumps(dict.fromkeys(map(str, range(KEYS_MAX + 1)), 1)).encode())


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_bad_request(body: bytes) -> None:
    for text in (body, b'{"a":' + body + b"}"):
        try:
            found_in(text)
        except BadRequest:
            continue
        assert text.lstrip().startswith(b"{")


@given(st.binary(max_size=200))
def test_no_large_bytes_raise_anything_but_a_bad_request(body: bytes) -> None:
    text = b'{"p":"' + PADDING.encode() + b'","a":' + body + b"}"
    try:
        found_in(text)
    except BadRequest:
        return
    assert body.strip()


@given(objects)
def test_replacing_nothing_changes_nothing_and_replacing_a_value_changes_only_it(fields: dict[str, Any]) -> None:
    body = json.dumps({**fields, "model": "old"}).encode()
    found = toplevel.finish(spans(body))
    assert replaced(body, {}) == body
    changed = replaced(body, {found["model"]: b'"new"'})
    assert json.loads(changed) == {**fields, "model": "new"}
    start, end = found["model"]
    assert changed[:start] == body[:start]
    assert changed[start + 5 :] == body[end:]
