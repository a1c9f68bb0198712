"""A control plane as its own process would run it, on a free port of loopback, and a browser."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright
from tests.acceptance.station import Station, channel_words, price_words, serving
from tests.acceptance.upstream import pretending

from yizhan.app_control import control_app
from yizhan.clock import SystemClock
from yizhan.config import Settings
from yizhan.store.engine import Database, migrate
from yizhan.store.seal import Seal

MODEL = "smollm2-135m"
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
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A whole station that sells the model of the reference's example; its address and a key."""
    with pretending("--chunk-ms", "20") as upstream:
        home = tmp_path_factory.mktemp("browsed") / "home"
        with serving(Station(home, workers=1)) as found:
            found.rows_of([channel_words("any", base_url=upstream.base_url, models=MODEL), price_words(MODEL)])
            yield found.url, found.add_user("reader", usd="1")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), "apt-get install chromium"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()
