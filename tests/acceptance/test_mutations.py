"""Thousands of broken requests: each is refused in OpenAI's shape, and the station is none the worse."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import msgspec
import pytest
from tests.acceptance.calling import call, chat
from tests.acceptance.mutations import Mutant, mutants
from tests.acceptance.station import Station

COUNT = int(os.environ.get("TEST_MUTATIONS", "1000"))
SEED = int(os.environ.get("TEST_SEED", "1"))
AT_ONCE = 16
GROWTH_KB_MAX = 30_000  # both workers together; caches of keys and connections find their size


class _Error(msgspec.Struct):
    message: str
    type: str
    code: str
    param: str | None = None


class _Refusal(msgspec.Struct):
    error: _Error


async def send(port: int, mutant: Mutant) -> bytes:
    """Send a mutant, close our side where it is not whole, and read all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(mutant.data)
        if not mutant.whole:
            writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def fault(mutant: Mutant, answer: bytes) -> str | None:
    """Say what is wrong with an answer; None where it is as it must be."""
    if not answer:
        return "no answer" if mutant.whole else None
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status < 400:
        return f"status {status}" if mutant.wrong else None
    if status >= 500:
        return f"status {status}: {body[:200]!r}"
    if b"\r\nx-request-id: " not in head.lower():
        return f"no x-request-id with status {status}"
    body = first_body(head.lower(), body)
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except msgspec.DecodeError as error:
        return f"status {status} in another shape ({error}): {body[:200]!r}"
    return None if refusal.error.message and refusal.error.code else f"an empty error: {body[:200]!r}"


def first_body(head: bytes, rest: bytes) -> bytes:
    """Cut the first answer's body out of what came: what followed a broken request may have been answered, too."""
    length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    if length:
        return rest[: int(length)]
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            break
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


async def attack(port: int, drawn: list[Mutant]) -> Counter[str]:
    """Send all, some at once; count the faults by kind."""
    queue = iter(drawn)
    faults: Counter[str] = Counter()

    async def sender() -> None:
        for mutant in queue:
            try:
                found = fault(mutant, await send(port, mutant))
            except TimeoutError:
                found = "it hangs"
            if found is not None:
                faults[f"{mutant.kind}: {found}"] += 1

    await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    return faults


@pytest.mark.timeout(1200)
def test_broken_requests_are_refused_in_shape_and_cost_no_memory(station: Station) -> None:
    key = station.add_user("mutant", usd="100")
    drawn = list(mutants(COUNT, seed=SEED, key=key, model="pretend"))
    warm_up = len(drawn) // 4
    faults = asyncio.run(attack(station.port, drawn[:warm_up]))
    before, pids = station.rss_kb(), station.pids("gateway")
    faults += asyncio.run(attack(station.port, drawn[warm_up:]))
    assert dict(faults) == {}
    assert station.pids("gateway") == pids
    assert station.rss_kb() - before < GROWTH_KB_MAX
    assert asyncio.run(call(station.port, key, chat("pretend"))).status == 200
    station.verify()
