from __future__ import annotations

import importlib
from collections.abc import Iterator

import click
import pytest
from tests.house.tree import ROOT, SOURCE

pytestmark = pytest.mark.skipif(not (SOURCE / "cli.py").exists(), reason="the command line is not there yet")


def _leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            yield from _leaves(child, f"{path} {name}")
    else:
        yield path, command


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_command_and_option_is_in_the_docs(language: str) -> None:
    page = (ROOT / "docs" / language / "cli.md").read_text()
    main = importlib.import_module("yizhan.cli").main
    missing = []
    for path, command in _leaves(main, "yizhan"):
        lines = [line for line in page.splitlines() if f"`{path}" in line]
        options = [parameter.opts[-1] for parameter in command.params if isinstance(parameter, click.Option)]
        said = " ".join(lines)
        missing += [
            f"{path} {option}" for option in options if option not in said and option not in ("--json", "--help")
        ]
        missing += [] if lines else [path]
    assert missing == []
