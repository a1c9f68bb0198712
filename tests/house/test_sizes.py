from __future__ import annotations

from tests.house.tree import functions, python, short

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50


def test_no_file_is_longer_than_400_lines() -> None:
    files = python("src", "tests", "bench", "fuzz")
    long = {short(path): lines for path in files if (lines := len(path.read_text().splitlines())) > FILE_LINES_MAX}
    assert files
    assert long == {}


def test_no_function_is_longer_than_50_lines() -> None:
    long = {
        f"{short(path)}:{function.lineno} {function.name}": lines
        for path in python("src", "tests", "bench", "fuzz")
        for function in functions(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}
