from __future__ import annotations

import ast
import re

from tests.house.tree import ROOT, committed, parsed, python, short

NO_NOUN = re.compile(r"^(utils?|helpers?|commons?|managers?|misc|base)$")
NO_CLASS = re.compile(r"(Manager|Helper|Utils?|Mixin)$")
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in [
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("registry", "npmjs", "org"),
            ("registry", "yarnpkg", "com"),
            ("crates", "io"),
            ("proxy", "golang", "org"),
            ("rubygems", "org"),
            ("repo1", "maven", "org"),
            ("deb", "debian", "org"),
        ]
    )
)


def test_every_module_is_named_by_a_noun_of_its_own() -> None:
    parts = {part for path in python("src", "tests", "bench", "fuzz") for part in [*path.parent.parts, path.stem]}
    assert [part for part in parts if NO_NOUN.match(part)] == []


def test_no_class_is_a_manager_or_a_helper() -> None:
    found = [
        f"{short(path)}:{node.lineno} {node.name}"
        for path in python("src", "tests", "bench", "fuzz")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and NO_CLASS.search(node.name)
    ]
    assert found == []


def _texts() -> list[tuple[str, str]]:
    """Our own text files; what is vendored is not ours to word."""
    vendored = ROOT / "src" / "yizhan" / "web" / "static"
    texts = []
    for path in committed():
        content = path.read_bytes()
        if not path.is_relative_to(vendored) and b"\0" not in content[:1024]:
            texts.append((short(path), content.decode()))
    return texts


def test_nothing_is_left_for_later_in_a_comment() -> None:
    assert [name for name, text in _texts() if UNFINISHED.search(text)] == []


def test_no_committed_file_names_a_package_registry() -> None:
    found = [short(path) for path in committed() if REGISTRIES.search(path.read_bytes().decode(errors="replace"))]
    assert found == []


def test_locks_pin_every_package_by_its_hash() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        entries = [line for line in lock.read_text().splitlines() if line and not line.startswith((" ", "#"))]
        assert entries, lock
        assert [line for line in entries if "==" not in line or not line.endswith("\\")] == []
