from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import msgspec
import pytest

from yizhan.config import Settings
from yizhan.greeting import Greeter, address, lines_to_try
from yizhan.process import Prepared

GOLDEN = Path(__file__).parent / "golden" / "first_start.txt"
FIRST = Prepared(login="admin", password="secret-word", key="sk-first")


def test_the_first_start_reads_as_in_the_golden_file(capsys: pytest.CaptureFixture[str]) -> None:
    greeter = Greeter(Settings(), json=False)
    greeter.first_start(FIRST)
    greeter.ready(FIRST, waiting=[], demo=True)
    said = capsys.readouterr().out
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(said)
    assert said == GOLDEN.read_text()


def test_the_lines_to_try_survive_the_shell() -> None:
    curl, python, _ = (shlex.split(line) for line in lines_to_try("http://127.0.0.1:8601", "sk-first"))
    assert json.loads(curl[-1])["stream"] is True
    assert curl[3] == "http://127.0.0.1:8601/v1/chat/completions"
    compile(python[-1], "python -c", "exec")


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"bind": "0.0.0.0:80"}, "http://127.0.0.1:80"),
        ({"bind": "[::1]:8601"}, "http://[::1]:8601"),
        ({"tls_certificate": "chain.pem"}, "https://127.0.0.1:8601"),
        ({"public_url": "https://api.example.com/"}, "https://api.example.com"),
    ],
)
def test_the_address_is_one_that_a_caller_can_use(changes: dict[str, str], url: str) -> None:
    assert address(msgspec.structs.replace(Settings(), **changes)) == url
