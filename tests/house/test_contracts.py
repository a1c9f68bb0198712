from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.house.tree import ROOT

LAZY = {"yizhan.relay", "yizhan.supervisor", "yizhan.http1", "yizhan.purse"}


def _run(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_imports_keep_their_contracts() -> None:
    done = _run("from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", sorted(LAZY))
def test_the_data_plane_and_the_supervisor_load_no_database_and_no_web_framework(package: str) -> None:
    heavy = "{'sqlalchemy', 'litestar', 'alembic', 'uvicorn'}"
    done = _run(
        "import importlib, pkgutil, sys\n"
        f"package = importlib.import_module({package!r})\n"
        "for found in pkgutil.walk_packages(getattr(package, '__path__', []), package.__name__ + '.'):\n"
        "    importlib.import_module(found.name)\n"
        f"print(sorted(sys.modules.keys() & {heavy}))"
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr
