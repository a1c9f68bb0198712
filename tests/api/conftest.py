"""The control plane's app over a database of its own, and people who use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from yizhan.accounts.secret import operator_token
from yizhan.app_control import control_app
from yizhan.clock import SetClock
from yizhan.config import Settings
from yizhan.store.engine import Database, migrate
from yizhan.store.seal import Seal


@dataclass
class Desk:
    """The app, and a way to ask it as somebody."""

    client: TestClient[Litestar]
    database: Database
    seal: Seal
    settings: Settings
    clock: SetClock
    operator: str
    nudges: list[int] = field(default_factory=list)

    def ask(self, method: str, path: str, json: Any = None, *, token: str | None = None, **more: Any) -> httpx.Response:
        """Send a request to the admin API; as the operator, unless a token is given (empty: none)."""
        shown = self.operator if token is None else token
        headers = {"authorization": f"Bearer {shown}"} if shown else {}
        self.client.cookies.clear()
        return self.client.request(
            method, f"/admin/v1{path}", json=json, headers=headers | more.pop("headers", {}), **more
        )

    def done(self, method: str, path: str, json: Any = None, *, token: str | None = None) -> Any:
        """Send a request that must succeed; give its answer."""
        answer = self.ask(method, path, json, token=token)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def person(self, name: str, role: str = "user") -> str:
        """Add somebody who can sign in, and sign in; give the token."""
        self.done("POST", "/users", {"name": name, "role": role, "password": "correct horse"})
        return str(self.done("POST", "/login", {"name": name, "password": "correct horse"}, token="")["token"])


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def desk(tmp_path: Path, migrated: Path) -> Iterator[Desk]:
    (tmp_path / "yizhan.db").write_bytes(migrated.read_bytes())
    settings = Settings(home=str(tmp_path), metrics_bind="")
    database, seal, clock = Database(settings.database), Seal.open(tmp_path), SetClock()
    nudges: list[int] = []
    app = control_app(database, seal, settings, clock, lambda: nudges.append(1))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Desk(client, database, seal, settings, clock, operator_token(tmp_path), nudges)
    database.close()
