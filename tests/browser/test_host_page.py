"""The widget in pages of other people: hostile ones, forbidden ones, and hostile documents."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect
from tests.browser.host import Host, running_host
from tests.browser.widget import Watch, Widget, opened
from tests.factories import make_key, make_site
from tests.servers import RunningServer

from sitebrook.db.engine import Database

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PLAIN = """# Opening hours

## When the museum is open

The museum is open from Tuesday to Sunday, nine to six. On Mondays the museum stays closed.
Groups book the museum two weeks ahead by telephone, and guides wait at the main entrance.
"""
_HOSTILE = """# Zebra <img src="{leak}/title.png" onerror="window.attacked='title'">

## Zebra <script>window.attacked='heading'</script>

The zebra policy says <script>window.attacked='script'</script> and
<img src="{leak}/html.png" onerror="window.attacked='onerror'"> and
<a href="javascript:window.attacked='a'">html link</a> and
[zebra link](javascript:window.attacked='link') and [data](data:text/html,attack) and
![zebra picture]({leak}/picture.png) and <svg onload="window.attacked='svg'"> and
<iframe src="{leak}/frame"></iframe> and <style>*{{background:url({leak}/style.png)}}</style>.
"""


@dataclass(frozen=True)
class Embedded:
    """A site of its own, and the host whose origin it allows."""

    host: Host
    publishable_key: str


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with running_host() as host:
        yield host


@pytest.fixture(scope="session")
def foreign_host() -> Iterator[Host]:
    """A host that no site allows, and where hostile documents want to reach."""
    with running_host() as host:
        yield host


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded(
    server: RunningServer, server_database_url: str, host: Host, foreign_host: Host
) -> AsyncIterator[Embedded]:
    database = Database(server_database_url)
    site = await make_site(
        database,
        name="Museum",
        allowed_origins=(host.origin,),
        greeting="Welcome to the museum.",
    )
    secret = await make_key(database, site)
    publishable = await make_key(database, site, "publishable")
    for source, text in (("hours", _PLAIN), ("zebra", _HOSTILE.format(leak=foreign_host.origin))):
        _add_document(server, secret.value, source, text)
    yield Embedded(host, publishable.value)
    await database.aclose()


def _add_document(server: RunningServer, key: str, source: str, text: str) -> None:
    request = urllib.request.Request(
        f"{server.url}/api/documents",
        json.dumps({"source": source, "content": text}).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 201


async def test_works_on_a_page_with_hostile_styles_scripts_and_policy(
    server: RunningServer, embedded: Embedded, page: Page, watch: Watch
):
    await page.goto(embedded.host.embed(server.url, embedded.publishable_key))
    widget = Widget(page)
    await widget.open()
    box = await widget.part("panel").bounding_box()
    assert box is not None
    assert box["width"] >= 300
    assert box["height"] >= 300
    await expect(widget.part("greeting")).to_have_text("Welcome to the museum.")
    await widget.watch()
    answer = await widget.ask("When is the museum open?")
    assert len(set(await widget.lengths())) >= 5
    await expect(answer.text).to_contain_text("Tuesday to Sunday")
    assert await answer.titles() == ["Opening hours"]
    async with opened(answer.sources.first.locator("[part=source-link]")) as (tab, response):
        assert response.status == 200
        await expect(tab.locator("body")).to_contain_text("nine to six")
    assert await page.evaluate("window.pageKeys || 0") == 0
    assert watch.problems == []
    assert watch.urls_beyond(server.url, embedded.host.origin) == []


async def test_answers_in_one_piece_where_the_tag_switches_streaming_off(
    server: RunningServer, embedded: Embedded, page: Page, watch: Watch
):
    await page.goto(embedded.host.embed(server.url, embedded.publishable_key, stream="false"))
    widget = Widget(page)
    await widget.open()
    await widget.watch()
    async with page.expect_response("**/v1/chat/completions") as coming:
        answer = await widget.ask("When is the museum open?")
    response = await coming.value
    assert response.headers["content-type"].startswith("application/json")
    assert len({length for length in await widget.lengths() if length > 0}) <= 2
    await expect(answer.text).to_contain_text("Tuesday to Sunday")
    assert await answer.titles() == ["Opening hours"]
    assert watch.problems == []


async def test_a_page_whose_origin_no_site_allows_is_told_so(
    server: RunningServer, embedded: Embedded, foreign_host: Host, page: Page
):
    crashes: list[str] = []
    page.on("pageerror", lambda error: crashes.append(str(error)))
    await page.goto(foreign_host.embed(server.url, embedded.publishable_key))
    widget = Widget(page)
    await widget.part("launcher").click()
    await expect(widget.part("note")).to_contain_text("not available on this page")
    await expect(widget.part("retry")).to_have_count(0)
    await widget.part("input").fill("When is the museum open?")
    await widget.part("input").press("Enter")
    await expect(widget.questions).to_have_count(0)
    assert crashes == []


async def test_a_page_that_only_another_site_allows_is_told_so(
    server: RunningServer, embedded: Embedded, page: Page
):
    crashes: list[str] = []
    page.on("pageerror", lambda error: crashes.append(str(error)))
    await page.goto(embedded.host.embed(server.url, server.publishable_key))
    widget = Widget(page)
    await widget.part("launcher").click()
    await expect(widget.part("note")).to_contain_text("not available on this page")
    assert crashes == []


async def test_hostile_documents_run_nothing_load_nothing_and_link_nowhere_unsafe(
    server: RunningServer,
    embedded: Embedded,
    foreign_host: Host,
    context: BrowserContext,
    page: Page,
    watch: Watch,
):
    foreign_host.paths.clear()
    await context.add_init_script("window.alert = () => { window.attacked = 'alert'; };")
    await page.goto(embedded.host.embed(server.url, embedded.publishable_key))
    widget = Widget(page)
    await widget.open()
    answer = await widget.ask("What does the zebra policy say?")
    await expect(answer.text).to_contain_text("<script>")
    await expect(answer.text).to_contain_text("onerror")
    await answer.sources.first.locator("summary").click()
    for tag in ("script", "img", "iframe", "svg", "style", "[onerror]", "[onload]"):
        assert await answer.element.locator(tag).count() == 0, tag
    links = answer.element.locator("a")
    hrefs = [await link.get_attribute("href") or "" for link in await links.all()]
    assert hrefs
    assert all(href.startswith(("http://", "https://")) for href in hrefs), hrefs
    for link in await links.all():
        assert await link.get_attribute("rel") == "noopener noreferrer nofollow"
    async with opened(answer.sources.first.locator("[part=source-link]")) as (tab, _):
        await expect(tab.locator("body")).to_contain_text("<script>")
        assert await tab.evaluate("window.attacked") is None
    assert await page.evaluate("window.attacked") is None
    assert foreign_host.paths == []
    assert watch.problems == []
    assert watch.urls_beyond(server.url, embedded.host.origin) == []
