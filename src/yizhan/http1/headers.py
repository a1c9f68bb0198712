"""Which headers cross the station, as tables. What is not named stays outside.

Outward the rule is an allow-list: a caller's cookies, credentials, addresses and hop-by-hop headers never reach a
vendor. Homeward it is one too: a vendor's cookies, server names, accounts and organisations never reach a caller, and
rate-limit headers are the station's own.
"""

from __future__ import annotations

from yizhan.http1.message import Headers

# From a caller to an upstream. Accept-Encoding is the station's own choice (identity), so that it can read usage.
_UPSTREAM = frozenset(
    {
        b"accept",
        b"accept-language",
        b"content-language",
        b"content-type",
        b"idempotency-key",
        b"openai-beta",
        b"range",
        b"user-agent",
        b"x-goog-api-client",
        b"x-stainless-arch",
        b"x-stainless-helper-method",
        b"x-stainless-lang",
        b"x-stainless-os",
        b"x-stainless-package-version",
        b"x-stainless-retry-count",
        b"x-stainless-runtime",
        b"x-stainless-runtime-version",
        b"x-stainless-timeout",
    }
)
_UPSTREAM_PREFIXES = (b"anthropic-",)
_UPSTREAM_NEVER = frozenset({b"anthropic-organization-id"})

# From an upstream to a caller. Lengths and codings of the transfer are made anew.
_CALLER = frozenset(
    {
        b"accept-ranges",
        b"cache-control",
        b"content-disposition",
        b"content-language",
        b"content-range",
        b"content-type",
        b"etag",
        b"last-modified",
        b"openai-model",
        b"openai-processing-ms",
        b"openai-version",
        b"retry-after",
        b"x-accel-buffering",
        b"x-should-retry",
    }
)

IDENTITY = (b"accept-encoding", b"identity")


def upstream_headers(headers: Headers) -> Headers:
    """Choose what of a caller's headers goes upstream; asks for an answer that is not compressed."""
    named_hops = _named_hops(headers)
    kept = [
        header
        for header in headers
        if (header[0] in _UPSTREAM or header[0].startswith(_UPSTREAM_PREFIXES))
        and header[0] not in _UPSTREAM_NEVER
        and header[0] not in named_hops
    ]
    kept.append(IDENTITY)
    return kept


def caller_headers(headers: Headers) -> Headers:
    """Choose what of an upstream's headers goes to the caller."""
    named_hops = _named_hops(headers)
    return [header for header in headers if header[0] in _CALLER and header[0] not in named_hops]


def _named_hops(headers: Headers) -> frozenset[bytes]:
    """List the headers that the sender declared to be for the next hop only."""
    for name, value in headers:
        if name == b"connection":
            if value.lower() in {b"close", b"keep-alive"}:
                continue
            return frozenset(
                option.strip(b" \t")
                for key, options in headers
                if key == b"connection"
                for option in options.lower().split(b",")
            )
    return frozenset()
