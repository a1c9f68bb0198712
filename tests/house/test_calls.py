"""Time and chance come in by the door; every task has an owner."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.house.tree import SOURCE, parsed, python, short

CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep", "localtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}


def _clock_reads(tree: ast.Module) -> list[int]:
    """The lines that read a clock or draw at random, but for ``clock.py``'s own."""
    lines = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=attr):
                if attr in CLOCKS.get(name, ()):
                    lines.append(node.lineno)
            case ast.ImportFrom(module="time" | "random"):
                lines.append(node.lineno)
            case ast.Import(names=names) if any(alias.name == "random" for alias in names):
                lines.append(node.lineno)
    return lines


def _dropped_tasks(tree: ast.Module) -> list[int]:
    """The lines that start a task and let go of it; a TaskGroup, by the name of ``group``, owns what it starts."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            match node.value.func:
                case ast.Attribute(value=ast.Name(id="group"), attr="create_task"):
                    continue
                case ast.Attribute(attr="create_task" | "ensure_future") | ast.Name(id="create_task" | "ensure_future"):
                    lines.append(node.lineno)
    return lines


def test_only_the_clock_reads_clocks_and_draws_at_random() -> None:
    doors = (SOURCE / "clock.py", SOURCE / "app.py")  # the second hands chance to the gateway, as the first does time
    files = [path for path in python("src") if path not in doors]
    assert {short(path): lines for path in files if (lines := _clock_reads(parsed(path)))} == {}


def test_no_task_is_started_and_let_go_of() -> None:
    assert {short(path): lines for path in python("src") if (lines := _dropped_tasks(parsed(path)))} == {}


@pytest.mark.parametrize(
    "line",
    ["time.time()", "datetime.datetime.now()", "x = datetime.now", "from time import monotonic", "import random"],
)
def test_the_rule_sees_a_clock_that_is_read(line: str) -> None:
    assert _clock_reads(ast.parse(line)) == [1]


@pytest.mark.parametrize("line", ["asyncio.create_task(f())", "loop.create_task(f())", "ensure_future(f())"])
def test_the_rule_sees_a_task_without_an_owner(line: str) -> None:
    assert _dropped_tasks(ast.parse(line)) == [1]
    assert _dropped_tasks(ast.parse(f"self._task = {line}")) == []


def test_no_mocks() -> None:
    word = "unittest" + ".mock"
    assert [short(path) for path in python("src", "tests", "bench", "fuzz") if word in Path(path).read_text()] == []
