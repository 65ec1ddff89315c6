"""The test page and the API documentation in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect
from tests.browser.widget import Watch
from tests.servers import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

_RUNS_MS = 30_000
_QUESTION = "How do I add my own documents?"
_FIGURE = re.compile(r"^\d+ ms$")


async def test_the_test_page_compares_streaming_with_a_secret_key(
    server: RunningServer, page: Page, watch: Watch
):
    await page.goto(f"{server.url}/test-streaming.html")
    await page.fill("#key", server.secret_key)
    await page.locator("#key").blur()
    await expect(page.locator("#model")).to_have_value(server.model)
    await page.fill("#repeat", "2")
    await page.fill("#question", "Which providers can I connect?")
    await page.click("#compare")
    await expect(page.locator("#status")).to_have_text("Done: 4 runs.", timeout=_RUNS_MS)
    await expect(page.locator("#results tr[data-mode=stream]")).to_have_count(2)
    await expect(page.locator("#results tr[data-mode=whole]")).to_have_count(2)
    stream = await _figures(page, "#summary tr[data-mode=stream] td")
    whole = await _figures(page, "#summary tr[data-mode=whole] td")
    assert stream[0] == whole[0] == "2"
    assert all(_FIGURE.match(cell) for cell in (*stream[1:], *whole[1:]))
    perceived, total = (int(stream[place].removesuffix(" ms")) for place in (1, 3))
    assert perceived < total * 0.7
    assert perceived < int(whole[1].removesuffix(" ms")) * 0.7
    chunks = await _figures(page, "#results tr[data-mode=stream]:first-child td")
    assert int(chunks[3]) > 20
    await expect(page.locator("#gaps svg")).to_be_visible()
    await expect(page.locator("#buffering")).to_have_attribute("data-buffers", "false")
    await expect(page.locator("#answer")).to_contain_text("[1]")
    await expect(page.locator("#error")).to_be_hidden()
    assert watch.problems == []
    assert watch.urls_beyond(server.url) == []


async def test_the_test_page_runs_each_way_with_the_publishable_key(
    server: RunningServer, page: Page, watch: Watch
):
    await page.goto(f"{server.url}/test-streaming.html?key={server.publishable_key}")
    await expect(page.locator("#model")).to_be_disabled()
    await page.fill("#repeat", "1")
    await page.fill("#question", _QUESTION)
    for button, mode in (("#test-streaming", "stream"), ("#test-non-streaming", "whole")):
        await page.click(button)
        await expect(page.locator("#status")).to_have_text("Done: 1 run.", timeout=_RUNS_MS)
        await expect(page.locator(f"#results tr[data-mode={mode}]")).to_have_count(1)
        await expect(page.locator("#results tr")).to_have_count(1)
    assert watch.problems == []
    assert watch.urls_beyond(server.url) == []


async def test_the_test_page_shows_why_a_wrong_key_is_refused(server: RunningServer, page: Page):
    await page.goto(f"{server.url}/test-streaming.html")
    for key in ("sk-wrong", "pk-wrong", ""):
        await page.fill("#key", key)
        await page.click("#test-streaming")
        await expect(page.locator("#status")).to_have_text("Stopped by an error.")
        await expect(page.locator("#error")).to_contain_text("HTTP 401: ")
        await expect(page.locator("#results tr")).to_have_count(0)
        await expect(page.locator("#test-streaming")).to_be_enabled()


async def test_the_api_documentation_shows_every_operation_and_asks_nobody_else(
    server: RunningServer, page: Page, watch: Watch
):
    await page.goto(f"{server.url}/docs")
    operations = page.locator(".opblock")
    chat = page.locator("#operations-chat-ChatCompletions")
    await expect(chat).to_be_visible()
    assert await operations.count() >= 8
    await chat.locator(".opblock-summary-control").click()
    await expect(chat.locator(".opblock-body")).to_contain_text("messages")
    await expect(chat.locator(".opblock-body")).to_contain_text("text/event-stream")
    paths = await page.locator(".opblock-summary-path").all_inner_texts()
    plain = [path.replace("\u200b", "") for path in paths]
    assert {"/v1/chat/completions", "/v1/models", "/api/documents", "/api/visitors"} <= set(plain)
    assert watch.problems == []
    assert watch.urls_beyond(server.url) == []


async def _figures(page: Page, selector: str) -> list[str]:
    return await page.locator(selector).all_inner_texts()
