"""What is not in the docs, in both languages, does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.house.tree import ROOT, SOURCE, committed, short

from yizhan.config import Settings
from yizhan.errors import every_error

LANGUAGES = ("en", "zh")
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)(?:#[^)]*)?\)")
CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def _page(language: str, name: str) -> str:
    return (ROOT / "docs" / language / name).read_text()


def _rows(page: str) -> dict[str, list[str]]:
    """The table rows that begin with a `name`, by that name."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row[1:] for row in rows}


def _default(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "–"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_is_in_the_docs_with_its_default(language: str) -> None:
    rows = _rows(_page(language, "settings.md"))
    defaults = dict(zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True))
    wanted = {f"YIZHAN_{name.upper()}": _default(value) for name, value in defaults.items()}
    assert {name: row[0] for name, row in rows.items()} == wanted
    assert [name for name, row in rows.items() if len(row[1]) < 4] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_is_in_the_docs_with_its_status(language: str) -> None:
    rows = _rows(_page(language, "errors.md"))
    wanted = {error.code: [str(error.status), f"`{error.kind}`"] for error in every_error()}
    assert {code: row[:2] for code, row in rows.items()} == wanted


def _headings(page: str) -> list[int]:
    return [len(marks) for marks in HEADING.findall(CODE_BLOCK.sub("", page))]


def _pairs() -> Iterator[tuple[Path, Path]]:
    yield ROOT / "README.md", ROOT / "README.zh-CN.md"
    for page in sorted((ROOT / "docs" / "en").rglob("*.md")):
        yield page, ROOT / "docs" / "zh" / page.relative_to(ROOT / "docs" / "en")


def test_both_languages_have_the_same_pages() -> None:
    pages = [
        {page.relative_to(ROOT / "docs" / each) for page in (ROOT / "docs" / each).rglob("*.md")} for each in LANGUAGES
    ]
    assert pages[0]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(("english", "chinese"), list(_pairs()), ids=lambda path: path.name)
def test_both_languages_have_the_same_headings_tables_and_code(english: Path, chinese: Path) -> None:
    pages = english.read_text(), chinese.read_text()
    assert _headings(pages[0]) == _headings(pages[1])
    rows = [sum(line.startswith("|") for line in page.splitlines()) for page in pages]
    assert rows[0] == rows[1]
    blocks = [len(CODE_BLOCK.findall(page)) for page in pages]
    assert blocks[0] == blocks[1]


def test_every_link_between_our_docs_leads_somewhere() -> None:
    broken = [
        f"{short(page)} → {target}"
        for page in committed()
        if page.suffix == ".md"
        for target in LINK.findall(CODE_BLOCK.sub("", page.read_text()))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_architecture_names_every_package_and_only_files_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`([\w./-]+(?:\.py|\.sh|\.md|/))`", text))
    missing = [name for name in named if not (SOURCE / name).exists() and not (ROOT / name).exists()]
    packages = {f"{path.parent.name}/" for path in SOURCE.glob("*/__init__.py")}
    assert missing == []
    assert packages - named == set()
    assert len(text.splitlines()) <= 200
