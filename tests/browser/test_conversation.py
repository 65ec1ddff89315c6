"""What a visitor does with a conversation: reload, stop, new one, tabs, keyboard, lost server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect
from tests.browser.widget import Watch, Widget, opened
from tests.servers import RunningServer, free_port, running_server

pytestmark = pytest.mark.asyncio(loop_scope="session")

_QUESTION = "How do I add my own documents?"
_TITLE = "Adding documents"
_LONG_QUESTION = "How do I put the widget on my page?"
# Its answer then takes several seconds, so that there is time to interrupt it.
_SLOW_MOCK = '[[providers]]\nname = "mock"\nkind = "mock"\ndelta_delay_s = 0.1\n'


@pytest.fixture(scope="module")
def slow(
    server: RunningServer,
    server_database_url: str,
    with_redis: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    """A server beside the other one, over its database, that answers slowly."""
    settings = slow_mock(tmp_path_factory.mktemp("slow"))
    with running_server(server_database_url, **settings, **with_redis) as slow:
        assert server.process.poll() is None
        yield slow


def slow_mock(folder: Path) -> dict[str, str]:
    file = folder / "sitebrook.toml"
    file.write_text(_SLOW_MOCK, "utf-8")
    return {"SITEBROOK_CONFIG": str(file)}


async def _move(widget: Widget, server: RunningServer) -> None:
    await widget.page.goto(f"{server.url}/demo")
    await widget.open()


async def test_a_reload_restores_the_conversation_with_its_sources(widget: Widget, watch: Watch):
    before = await widget.ask(_QUESTION)
    text = await before.text.inner_text()
    await widget.page.reload()
    await widget.open()
    await expect(widget.questions).to_have_text([_QUESTION])
    await expect(widget.answers).to_have_count(1)
    await widget.last.wait_for("complete")
    assert await widget.last.text.inner_text() == text
    assert await widget.last.titles() == [_TITLE]
    await expect(widget.last.text.locator("[part=citation]").first).to_have_text("1")
    async with opened(widget.last.text.locator("[part=citation]").first) as (tab, response):
        assert response.status == 200
        await expect(tab.locator("body")).to_contain_text("ingest")
    assert watch.problems == []


async def test_stop_keeps_the_text_so_far_also_after_a_reload(
    widget: Widget, slow: RunningServer, watch: Watch
):
    await _move(widget, slow)
    answer = await widget.send(_LONG_QUESTION)
    await answer.wait_for_text(30)
    await expect(widget.part("send")).to_be_hidden()
    await widget.part("stop").click()
    await answer.wait_for("stopped")
    text = await answer.text.inner_text()
    assert len(text) >= 30
    await expect(answer.note).to_have_text("You stopped this answer.")
    await expect(widget.part("send")).to_be_visible()
    await expect(widget.part("stop")).to_be_hidden()
    await widget.page.reload()
    await widget.open()
    await widget.last.wait_for("interrupted")
    assert (await widget.last.text.inner_text()).startswith(text[:30])
    await widget.last.retry.click()
    await widget.last.wait_for("complete")
    assert watch.problems == []


async def test_a_second_tab_goes_on_with_the_same_conversation(
    widget: Widget, context: BrowserContext
):
    await widget.ask(_QUESTION)
    second = Widget(await context.new_page())
    await second.page.goto(widget.page.url)
    await second.open()
    await expect(second.questions).to_have_text([_QUESTION])
    await second.ask("Which providers can I connect?")
    await widget.page.reload()
    await widget.open()
    await expect(widget.questions).to_have_text([_QUESTION, "Which providers can I connect?"])
    await expect(widget.answers).to_have_count(2)


async def test_a_new_conversation_begins_empty_and_stays_the_one_that_is_restored(widget: Widget):
    await widget.ask(_QUESTION)
    await widget.part("restart").click()
    await expect(widget.questions).to_have_count(0)
    await expect(widget.part("greeting")).to_be_visible()
    await expect(widget.part("starter")).to_have_count(3)
    starter = widget.part("starter").filter(has_text="Which providers can I connect?")
    await starter.click()
    await expect(widget.answers).to_have_count(1)
    await widget.last.wait_for("complete")
    await expect(widget.part("starter")).to_have_count(0)
    await widget.page.reload()
    await widget.open()
    await expect(widget.questions).to_have_text(["Which providers can I connect?"])


async def test_a_new_conversation_during_an_answer_leaves_nothing_of_it(
    widget: Widget, slow: RunningServer
):
    await _move(widget, slow)
    answer = await widget.send(_LONG_QUESTION)
    await answer.wait_for_text(20)
    await widget.part("restart").click()
    await expect(widget.answers).to_have_count(0)
    await expect(widget.part("send")).to_be_visible()
    await widget.ask("Which providers can I connect?")
    await expect(widget.questions).to_have_text(["Which providers can I connect?"])
    await expect(widget.answers).to_have_count(1)


async def test_the_keyboard_opens_asks_and_closes(server: RunningServer, page: Page):
    await page.goto(f"{server.url}/demo")
    widget = Widget(page)
    launcher, text_field = widget.part("launcher"), widget.part("input")
    await expect(launcher).to_have_attribute("aria-expanded", "false")
    await launcher.focus()
    await page.keyboard.press("Enter")
    await expect(widget.part("greeting")).to_be_visible()
    await expect(launcher).to_have_attribute("aria-expanded", "true")
    await expect(text_field).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(widget.questions).to_have_count(0)
    await page.keyboard.type("How do I add")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("my own documents?")
    await page.keyboard.press("Enter")
    await expect(widget.questions).to_have_text(["How do I add\nmy own documents?"])
    await expect(text_field).to_have_value("")
    await widget.last.wait_for("complete")
    await expect(text_field).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(widget.part("panel")).to_be_hidden()
    await expect(launcher).to_be_focused()
    await expect(launcher).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("Enter")
    await expect(widget.answers).to_have_count(1)
    await expect(text_field).to_be_focused()


async def test_an_answer_that_the_server_breaks_off_keeps_its_text_and_can_be_asked_again(
    server: RunningServer,
    server_database_url: str,
    page: Page,
    with_redis: dict[str, str],
    tmp_path: Path,
):
    port = str(free_port())
    widget = Widget(page)
    # Beside the other server over the same database, where the demo site is made already.
    settings = {"SITEBROOK_PORT": port, **with_redis}
    with running_server(server_database_url, **slow_mock(tmp_path), **settings) as first:
        await page.goto(f"{first.url}/demo")
        await widget.open()
        answer = await widget.send(_LONG_QUESTION)
        await answer.wait_for_text(30)
        first.process.kill()
        await answer.wait_for("interrupted")
    text = await answer.text.inner_text()
    assert len(text) >= 30
    await expect(answer.note).to_contain_text("The answer broke off here.")
    await expect(answer.retry).to_be_visible()
    with running_server(server_database_url, SITEBROOK_PORT=port, **with_redis):
        await answer.retry.click()
        await widget.last.wait_for("complete")
        await expect(widget.answers).to_have_count(1)
        assert "The chat widget" in await widget.last.titles()
        await page.reload()
        await widget.open()
        await expect(widget.questions).to_have_text([_LONG_QUESTION])
        await expect(widget.answers).to_have_count(1)
