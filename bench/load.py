"""What is thrown at a server: bodies, wrk, and our own client, all on the core of the load."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench import machine
from bench.servers import OUT, ROOT

_SENTENCE = "The rider changed horses at the station and the letter went on through the night, as it had always done. "
_MARKS = b"@"


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one round brought. ``answered`` counts failures too; ``pieces`` are the reads of streams."""

    answered: int
    failed: int
    seconds: float
    pieces: int = 0
    p50_us: int
    p99_us: int


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of one series."""

    p50: int
    p99: int
    p999: int
    max: int


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of our client brought."""

    answered: int
    failed: int
    unfinished: int
    reads: int
    seconds: float
    first_byte_us: Spread | None
    whole_us: Spread | None
    gap_us: Spread | None


def body(size: int, *, stream: bool = False, model: str = "bench-chat") -> Path:
    """A chat request of about ``size`` bytes; past 100 KB it is a picture that makes it so."""
    content: Any = (_SENTENCE * (size // len(_SENTENCE) + 1))[: max(size - 180, 1)]
    if size > 100_000:
        picture = base64.b64encode(bytes(range(256)) * (size * 3 // 4 // 256)).decode()
        content = [
            {"type": "text", "text": "What is in this picture?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        ]
    request: dict[str, Any] = {"model": model, "max_tokens": 256}
    if stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    request["messages"] = [{"role": "system", "content": "You are a rider."}, {"role": "user", "content": content}]
    path = OUT / f"body-{model}-{size}{'-stream' if stream else ''}.json"
    path.write_bytes(json.dumps(request, separators=(",", ":")).encode())
    return path


def wrk(port: int, what: Path, *, key: str, connections: int, seconds: float, core: int) -> Round:
    """Run wrk with one thread; every answer must be a 200."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s"]
    run = subprocess.run(
        ["taskset", "-c", str(core), machine.tool("wrk"), *options, "-s", str(ROOT / "bench" / "chat.lua"), url],
        env=os.environ | {"BENCH_BODY": str(what), "BENCH_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode != 0 or not lines:
        raise machine.Unfit(f"wrk: {run.stderr.strip() or run.stdout.strip()}")
    return msgspec.json.decode(lines[-1], type=Round)


def streams(port: int, what: Path, *, key: str, connections: int, seconds: float, core: int) -> Round:
    """Run our client as wrk is run, but let every stream that began come to its end, so that each chunk counts."""
    calls = call(port, request_file("streams", what, key=key), core=core, connections=connections, seconds=seconds)
    assert calls.whole_us is not None
    return Round(
        answered=calls.answered + calls.failed,
        failed=calls.failed + calls.unfinished,
        seconds=calls.seconds,
        pieces=calls.reads,
        p50_us=calls.whole_us.p50,
        p99_us=calls.whole_us.p99,
    )


def request_file(name: str, what: Path | None, *, key: str | int) -> Path:
    """A whole request for our client: a chat, or the health probe; an int leaves room for a key of that length."""
    head = "GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n" if what is None else "POST /v1/chat/completions HTTP/1.1\r\n"
    data = head.encode()
    if what is not None:
        secret = _MARKS * key if isinstance(key, int) else key.encode()
        sent = what.read_bytes()
        data += b"Host: bench\r\nContent-Type: application/json\r\nAuthorization: Bearer " + secret
        data += b"\r\nContent-Length: %d\r\n\r\n" % len(sent) + sent
    path = OUT / f"request-{name}.http"
    path.write_bytes(data)
    return path


@contextmanager
def calling(port: int, request: Path, *, core: int, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Our client, running; ``answers`` reads what it measured."""
    named = [f"{name}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        ["taskset", "-c", str(core), str(OUT / "client"), str(port), str(request), *named],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answers(process: subprocess.Popen[str], on_tick: Callable[[int], None] = lambda _: None) -> Calls:
    """Wait for the client to finish; ``on_tick`` hears how many were answered so far, where ticks are on."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            return msgspec.json.decode(line, type=Calls)
        on_tick(int(line))
    raise machine.Unfit(f"the client ended with {process.wait()} and no result")


def call(port: int, request: Path, *, core: int, **options: object) -> Calls:
    """Run our client to its end."""
    with calling(port, request, core=core, **options) as process:
        return answers(process)
