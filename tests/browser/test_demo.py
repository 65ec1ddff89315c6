"""The demo page in a real browser: streamed answers from the documentation, with sources."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect
from tests.browser.widget import Watch, Widget, opened
from tests.servers import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

_QUESTIONS = (
    ("How do I put the widget on my page?", "The chat widget", "data-site-key"),
    ("Which providers can I connect?", "Connecting a provider", "OPENAI_API_KEY"),
    ("Come aggiungo i miei documenti?", "Panoramica di sitebrook", "Come aggiungere i propri"),
)


async def test_three_questions_in_one_conversation_are_answered_in_steps_from_the_right_document(
    server: RunningServer, page: Page, watch: Watch
):
    await page.goto(f"{server.url}/demo")
    widget = Widget(page)
    await widget.open()
    for question, title, words in _QUESTIONS:
        await widget.watch()
        answer = await widget.ask(question)
        lengths = await widget.lengths()
        assert len(set(lengths)) >= 5, lengths
        assert (await answer.titles())[0] == title
        async with opened(answer.sources.first.locator("[part=source-link]")) as (tab, response):
            assert response.status == 200
            await expect(tab.locator("body")).to_contain_text(words)
            assert await tab.title() == title
    await expect(widget.questions).to_have_count(3)
    assert watch.problems == []
    assert watch.urls_beyond(server.url) == []
