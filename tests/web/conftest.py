"""A control plane as its own process would run it, on a free port of loopback, and a browser."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright

from yizhan.app_control import control_app
from yizhan.clock import SystemClock
from yizhan.config import Settings
from yizhan.store.engine import Database, migrate
from yizhan.store.seal import Seal

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def control_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the control plane's pages."""
    home = tmp_path_factory.mktemp("pages")
    settings = Settings(home=str(home), metrics_bind="")
    migrate(settings.database)
    database = Database(settings.database)
    app = control_app(database, Seal.open(home), settings, SystemClock(), lambda: None)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
    database.close()


@pytest.fixture(scope="session")
def station() -> tuple[str, str, str]:
    """A whole station to debug against: URL, key and model; TEST_STATION says where one runs."""
    found = os.environ.get("TEST_STATION", "")
    if not found:
        pytest.skip("TEST_STATION=URL,KEY,MODEL names a running station")
    url, key, model = found.split(",")
    return url, key, model


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), "apt-get install chromium"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()
