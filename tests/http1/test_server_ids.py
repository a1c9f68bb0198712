"""Every answer that no handler gave carries an id of its own."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from tests.http1.server_stage import QUICK, Wire, echo, run, serving

from yizhan.errors import NoChannel
from yizhan.http1.reply import Reply
from yizhan.http1.request import Request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def _failing(request: Request, reply: Reply) -> None:
    if request.path == b"/refused":
        raise NoChannel("nobody serves this")
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("sent", "status", "changes"),
    [
        (b"nonsense\r\n\r\n", 400, {}),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405, {}),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431, {}),
        (b"GET / HTTP/1.1\r\n", 408, {"header_timeout_s": 0.1}),
        (b"", 503, {"connections_max": 0}),
        (GET, 503, {"in_flight_max": 0}),
        (GET, 500, {}),
        (GET.replace(b"/ ", b"/refused "), NoChannel.status, {}),
    ],
)
def test_what_the_server_says_itself_has_an_id(sent: bytes, status: int, changes: dict[str, float]) -> None:
    numbers = itertools.count()

    async def story() -> None:
        settings = msgspec.structs.replace(QUICK, **changes)
        async with serving(_failing, settings=settings, request_id=lambda: f"req_{next(numbers)}") as stage:
            for number in range(2):
                wire: Wire = await stage.call()
                wire.send(sent)
                answer = await wire.answer()
                assert (answer.status, answer.headers[b"x-request-id"]) == (status, b"req_%d" % number)

    run(story())


def test_a_handlers_own_answer_is_left_alone() -> None:
    async def story() -> None:
        async with serving(echo, request_id=lambda: "req_1") as stage:
            wire = await stage.call()
            wire.send(GET)
            assert b"x-request-id" not in (await wire.answer()).headers

    run(story())
