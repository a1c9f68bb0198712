"""The real demo model, where its wheels are installed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from tests.supervisor.conftest import ROOT

from yizhan import demo
from yizhan.process import Inherited

pytestmark = pytest.mark.skipif(not demo.available(), reason="the demo model's wheels are not installed")


@pytest.fixture
def model() -> Iterator[tuple[str, subprocess.Popen[bytes], int]]:
    """Its address, its process, and the end of the pipe that a supervisor would hold."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    watch, held = os.pipe()
    heard, ready = os.pipe()
    options = Inherited(watch=watch, ready=ready).arguments()
    process = subprocess.Popen(
        [sys.executable, "-m", "yizhan.demo", str(port), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        pass_fds=(watch, ready),
    )
    os.close(ready)
    assert os.read(heard, 100) == b"demo\n"
    yield f"http://127.0.0.1:{port}", process, held
    process.kill()
    process.wait()
    for number in (watch, heard):
        os.close(number)


def test_it_streams_a_chat_with_its_usage_and_ends_with_its_supervisor(
    model: tuple[str, subprocess.Popen[bytes], int],
) -> None:
    url, process, held = model
    body = {
        "model": demo.MODEL,
        "messages": [{"role": "user", "content": "Say hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 4,
    }
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    *chunks, last, done = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert len(chunks) > 1
    assert msgspec.json.decode(last)["usage"]["completion_tokens"] == 4
    assert done == "[DONE]"
    os.close(held)
    assert process.wait(20) == 0
