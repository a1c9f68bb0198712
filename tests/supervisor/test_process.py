from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.supervisor.conftest import ROOT

from yizhan.process import Inherited


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe as children inherit it after a sibling's event loop has had its hands on it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)


def test_what_is_spelled_is_read_again() -> None:
    inherited = Inherited(listen=(3, 4), watch=5, ready=6)
    assert Inherited.parse(["gateway", "0", *inherited.arguments()]) == inherited
    assert Inherited.parse(["control"]) == Inherited()


def test_a_child_without_a_loop_waits_for_its_supervisor_and_no_less(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    code = f"from yizhan.process import Inherited\nprint('up', flush=True)\nInherited(watch={reading}).wait_orphaned()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        pass_fds=(reading,),
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)
    os.close(writing)
    assert child.wait(20) == 0
    child.stdout.close()


async def _outlive(reading: int, writing: int) -> None:
    waiting = asyncio.ensure_future(Inherited(watch=reading).until_orphaned())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    os.close(writing)
    await asyncio.wait_for(waiting, 20)


def test_a_child_with_a_loop_hears_that_its_supervisor_is_gone(pipe: tuple[int, int]) -> None:
    asyncio.run(_outlive(*pipe))
