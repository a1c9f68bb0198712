"""Requests the client does not send."""

from __future__ import annotations

import pytest
from tests.http1.client_scene import PATIENT, calling, get, run

from yizhan.http1.client import Origin
from yizhan.http1.message import ConnectFailed


def test_what_could_split_a_request_is_refused() -> None:
    async def story() -> None:
        nowhere = Origin("http", "127.0.0.1", 1)
        async with calling() as client:
            for bad in (
                {"target": b"/a\r\nx: y"},
                {"target": b"/a b"},
                {"target": b"/a\tb"},
                {"target": "/驿站".encode()},
                {"target": b"http://other/"},
                {"method": b"GE T"},
                {"method": b"CONNECT"},
                {"headers": [(b"x", b"a\nb")]},
                {"headers": [(b"x\r\ny", b"a")]},
                {"headers": [(b"x", b"a\0b")]},
                {"headers": [(b"transfer-encoding: chunked\r\nx", b"a")]},
                {"headers": [(b"connection: x", b"a")]},
                {"headers": [(b"X-Upper", b"a")]},
                {"headers": [(b"content-length", b"3")]},
                {"headers": [(b"transfer-encoding", b"chunked")]},
            ):
                with pytest.raises(ValueError):
                    await get(client, nowhere, **bad)
            with pytest.raises(ConnectFailed):
                await get(client, nowhere, timeouts=PATIENT)

    run(story())
