"""Which headers cross the station."""

from __future__ import annotations

import pytest

from yizhan.http1.headers import caller_headers, upstream_headers


def test_what_a_vendor_may_know_goes_upstream_in_its_order() -> None:
    crossing = [
        (b"accept", b"text/event-stream"),
        (b"content-type", b"application/json"),
        (b"anthropic-version", b"2023-06-01"),
        (b"anthropic-beta", b"a"),
        (b"anthropic-beta", b"b"),
        (b"openai-beta", b"assistants=v2"),
        (b"idempotency-key", b"k"),
    ]
    assert upstream_headers(crossing) == [*crossing, (b"accept-encoding", b"identity")]


@pytest.mark.parametrize(
    "name",
    [
        b"cookie", b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"proxy-authorization", b"host",
        b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded", b"via", b"cf-connecting-ip", b"connection",
        b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"content-length", b"upgrade", b"expect",
        b"accept-encoding", b"content-encoding", b"openai-organization", b"openai-project", b"origin", b"referer",
        b"x-request-id", b"x-yizhan-channel", b"traceparent", b"anthropic-organization-id",
    ],
)  # fmt: skip
def test_what_a_vendor_may_not_know_stays_here(name: bytes) -> None:
    assert upstream_headers([(name, b"x")]) == [(b"accept-encoding", b"identity")]


def test_headers_declared_to_be_for_one_hop_go_no_further() -> None:
    headers = [
        (b"connection", b"keep-alive, Anthropic-Beta"),
        (b"connection", b"openai-beta"),
        (b"anthropic-beta", b"a"),
        (b"openai-beta", b"b"),
        (b"etag", b"c"),
        (b"accept", b"d"),
    ]
    assert upstream_headers(headers) == [(b"accept", b"d"), (b"accept-encoding", b"identity")]
    assert caller_headers([(b"connection", b"ETag"), (b"etag", b"c"), (b"content-type", b"d")]) == [
        (b"content-type", b"d")
    ]
    assert caller_headers([(b"connection", b"Keep-Alive"), (b"etag", b"c")]) == [(b"etag", b"c")]


def test_what_a_caller_may_know_comes_home() -> None:
    crossing = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"retry-after", b"3")]
    assert caller_headers(crossing) == crossing


@pytest.mark.parametrize(
    "name",
    [
        b"set-cookie", b"server", b"alt-svc", b"openai-organization", b"openai-project", b"anthropic-organization-id",
        b"x-ratelimit-remaining-tokens", b"anthropic-ratelimit-requests-limit", b"x-request-id", b"request-id",
        b"cf-ray", b"via", b"strict-transport-security", b"content-length", b"content-encoding", b"transfer-encoding",
        b"connection", b"date", b"access-control-allow-origin", b"x-envoy-upstream-service-time", b"location",
    ],
)  # fmt: skip
def test_what_a_caller_may_not_know_stays_here(name: bytes) -> None:
    assert caller_headers([(name, b"x")]) == []
