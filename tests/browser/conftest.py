"""A real Chromium and a real server with the demo site, one of each per worker."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from tests.browser.widget import Watch, Widget
from tests.databases import new_database
from tests.servers import RunningServer, running_server

_CHROMIUM = shutil.which("chromium")
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium; one that the tool downloads is never used."""
    if _CHROMIUM is None:
        missing = "chromium is not installed: apt install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def server_database_url() -> Iterator[str]:
    """The server's own database: only one without any site gets the demo."""
    with new_database() as url:
        yield url


@pytest.fixture(scope="session")
def server(server_database_url: str, with_redis: dict[str, str]) -> Iterator[RunningServer]:
    """A server with the demo site, for tests that do not disturb each other."""
    with running_server(server_database_url, **with_redis) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser profile of the test's own."""
    context = await browser.new_context(locale="en-GB")
    context.set_default_timeout(10_000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    """An empty tab."""
    return await context.new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def watch(page: Page) -> Watch:
    """What goes wrong in the tab."""
    watch = Watch()
    watch.follow(page)
    return watch


@pytest_asyncio.fixture(loop_scope="session")
async def widget(page: Page, server: RunningServer) -> Widget:
    """The widget of the demo page, opened."""
    await page.goto(f"{server.url}/demo")
    widget = Widget(page)
    await widget.open()
    return widget
