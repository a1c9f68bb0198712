"""The API reference in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

LANGUAGES = [
    "Shell",
    "JavaScript",
    "Java",
    "Swift",
    "Go",
    "PHP",
    "Python",
    "HTTP",
    "C",
    "C#",
    "Objective-C",
    "Ruby",
    "OCaml",
    "Dart",
    "R",
]
PATIENCE_MS = 60_000


class Watched:
    """A page, and every request it made."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def left(self, origin: str) -> list[str]:
        """List what was asked of anybody but the origin."""
        own = (origin + "/", "data:", "blob:")
        return [url for url in self.asked if not url.startswith(own)]


def _opened(browser: Browser, url: str) -> Watched:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE_MS)
    watched = Watched(page)
    page.goto(url)
    expect(page.get_by_text("Test Request").first).to_be_visible(timeout=PATIENCE_MS)
    return watched


def test_the_reference_loads_and_talks_to_nobody_else(browser: Browser, control_url: str) -> None:
    watched = _opened(browser, f"{control_url}/docs/api")
    expect(watched.page.locator("h1").first).to_contain_text("Yizhan")
    assert watched.left(control_url) == []
    assert watched.complaints == []
    watched.page.close()


def test_the_reference_speaks_chinese(browser: Browser, control_url: str) -> None:
    watched = _opened(browser, f"{control_url}/docs/api?lang=zh")
    expect(watched.page.get_by_text("列出可用模型").first).to_be_visible(timeout=PATIENCE_MS)
    assert watched.left(control_url) == []
    watched.page.close()


def test_samples_come_in_every_language(browser: Browser, control_url: str) -> None:
    watched = _opened(browser, f"{control_url}/docs/api")
    watched.page.get_by_text("Select from all clients").first.click(force=True)
    shown = watched.page.get_by_role("option")
    expect(shown.first).to_be_visible(timeout=PATIENCE_MS)
    groups = watched.page.locator("[role=listbox]").first.inner_text().splitlines()
    assert [name for name in LANGUAGES if name not in groups] == []
    assert watched.left(control_url) == []
    watched.page.close()


@pytest.mark.timeout(300)
def test_a_chat_is_sent_from_the_page_and_streams_in(browser: Browser, station: tuple[str, str]) -> None:
    url, key = station
    watched = _opened(browser, f"{url}/docs/api")
    page = watched.page
    page.get_by_placeholder("Token").first.fill(key)
    with page.expect_response(lambda answer: answer.url.endswith("/v1/chat/completions")) as waiting:
        page.get_by_text("Test Request").first.click()
        page.get_by_role("button", name="Send").first.click()
    answer = waiting.value
    assert answer.status == 200
    assert "text/event-stream" in answer.headers["content-type"]
    expect(page.get_by_text("chat.completion.chunk").first).to_be_visible(timeout=PATIENCE_MS)
    assert watched.left(url) == []
    page.close()
