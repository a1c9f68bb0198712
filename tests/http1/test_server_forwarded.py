"""Whose address a request is from."""

from __future__ import annotations

import msgspec
import pytest
from tests.http1.server_stage import QUICK, run, serving

from yizhan.http1.forwarded import TrustedProxies
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [b"1.2.3.4"], "203.0.113.9"),  # a stranger's word counts nothing
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", [b"6.6.6.6, 1.2.3.4"], "1.2.3.4"),  # what the caller itself made up
        ("10.0.0.1", [b"6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", [b"6.6.6.6", b"1.2.3.4", b"10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"1.2.3.4, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [b"nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", [b"[2001:db8::1]:5678"], "2001:db8::1"),
        ("::ffff:10.0.0.1", [b"2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", [b"1.1.1.1" + b", 10.0.0.2" * 1000], "10.0.0.2"),
        ("", [b"1.2.3.4"], ""),
    ],
)
def test_the_callers_address_is_the_last_that_no_trusted_proxy_made(
    peer: str, forwarded: list[bytes], client: str
) -> None:
    headers = [(b"x-forwarded-for", value) for value in forwarded]
    assert TrustedProxies("10.0.0.0/8, fd00::/8").client(peer, headers) == client


def test_nobody_is_trusted_unless_told() -> None:
    assert TrustedProxies().client("127.0.0.1", [(b"x-forwarded-for", b"1.2.3.4")]) == "127.0.0.1"


def test_a_network_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        TrustedProxies("10.0.0.0/8,nonsense")


@pytest.mark.parametrize(("trusted", "peer"), [("127.0.0.0/8", b"1.2.3.4"), ("", b"127.0.0.1")])
def test_the_handler_sees_that_address(trusted: str, peer: bytes) -> None:
    async def handler(request: Request, reply: Reply) -> None:
        reply.send(200, [], request.peer.encode())

    async def story() -> None:
        async with serving(handler, settings=msgspec.structs.replace(QUICK, trusted_proxies=trusted)) as stage:
            wire = await stage.call()
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
            assert (await wire.answer()).body == peer

    run(story())
