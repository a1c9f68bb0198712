"""Base URLs, read."""

from __future__ import annotations

import pytest

from yizhan.http1.origin import Origin


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com", (Origin("https", "api.example.com", 443), b"", b"api.example.com")),
        ("http://h:8080/v1/", (Origin("http", "h", 8080), b"/v1", b"h:8080")),
        ("http://[::1]:8/a b", (Origin("http", "::1", 8), b"/a%20b", b"[::1]:8")),
        (
            "https://bücher.example/x%2Fy",
            (Origin("https", "xn--bcher-kva.example", 443), b"/x%2Fy", b"xn--bcher-kva.example"),
        ),
        ("unix:///run/a.sock", (Origin("unix", "/run/a.sock"), b"", b"localhost")),
    ],
)
def test_a_base_url_is_an_origin_and_a_prefix(url: str, expected: tuple[Origin, bytes, bytes]) -> None:
    origin, prefix = Origin.parse(url)
    assert (origin, prefix, origin.host_header) == expected


@pytest.mark.parametrize(
    "url",
    ["ftp://h", "h", "http://", "http://u:p@h", "http://h?x", "http://h/#f", "http://h:99999", "unix:x", "http://a b"],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Origin.parse(url)
