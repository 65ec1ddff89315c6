"""The widget on a page, as a visitor handles it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from playwright.async_api import ConsoleMessage, Locator, Page, Request, Response, expect

ANSWER_MS = 15_000

# Notes each length that the text of the newest answer takes, from the moment of asking.
_WATCH = """() => {
  const root = document.querySelector("sitebrook-widget").shadowRoot;
  const known = root.querySelectorAll("[data-role=assistant]").length;
  const lengths = (window.answerLengths = []);
  new MutationObserver((_, observer) => {
    const answer = root.querySelectorAll("[data-role=assistant]")[known];
    if (!answer) {
      return;
    }
    const length = answer.querySelector("[part=text]").textContent.length;
    if (length !== lengths[lengths.length - 1]) {
      lengths.push(length);
    }
    if (answer.dataset.status !== "streaming") {
      observer.disconnect();
    }
  }).observe(root, { subtree: true, childList: true, characterData: true, attributes: true });
}"""


@dataclass
class Widget:
    """The one widget of a page; selectors reach into its open shadow root."""

    page: Page

    def part(self, name: str) -> Locator:
        """Elements with this part name."""
        return self.page.locator(f"sitebrook-widget [part={name}]")

    @property
    def answers(self) -> Locator:
        return self.page.locator("sitebrook-widget [data-role=assistant]")

    @property
    def questions(self) -> Locator:
        return self.page.locator("sitebrook-widget [data-role=user]")

    @property
    def last(self) -> Answer:
        """The newest answer."""
        return Answer(self.answers.last)

    async def open(self) -> None:
        """Opens the panel and waits until the site is known."""
        await self.part("launcher").click()
        await expect(self.part("panel")).to_be_visible()
        greeting_or_message = self.page.locator(
            "sitebrook-widget :is([part=greeting], [part=message])"
        )
        await expect(greeting_or_message.first).to_be_visible()

    async def send(self, question: str) -> Answer:
        """Asks, and returns the answer as it begins."""
        count = await self.answers.count()
        await self.part("input").fill(question)
        await self.part("send").click()
        await expect(self.answers).to_have_count(count + 1)
        return Answer(self.answers.nth(count))

    async def ask(self, question: str) -> Answer:
        """Asks, and waits for the whole answer."""
        answer = await self.send(question)
        await answer.wait_for("complete")
        return answer

    async def watch(self) -> None:
        """Notes the lengths of the next answer."""
        await self.page.evaluate(_WATCH)

    async def lengths(self) -> list[int]:
        """The lengths that the watched answer's text has had."""
        return await self.page.evaluate("window.answerLengths")


@dataclass
class Answer:
    """One answer in the list."""

    element: Locator

    @property
    def text(self) -> Locator:
        return self.element.locator("[part=text]")

    @property
    def sources(self) -> Locator:
        return self.element.locator("[part=source]")

    @property
    def note(self) -> Locator:
        return self.element.locator("[part=note]")

    @property
    def retry(self) -> Locator:
        return self.element.locator("[part=retry]")

    async def wait_for(self, status: str) -> None:
        await expect(self.element).to_have_attribute("data-status", status, timeout=ANSWER_MS)

    async def wait_for_text(self, characters: int) -> None:
        """Waits until so much of the text is there."""
        await self.element.page.wait_for_function(
            "([element, count]) => element.textContent.length >= count",
            arg=[await self.text.element_handle(), characters],
            timeout=ANSWER_MS,
        )

    async def titles(self) -> list[str]:
        """The titles of the sources, first cited first."""
        links = await self.sources.locator("[part=source-link]").all()
        return [await link.inner_text() for link in links]


@contextlib.asynccontextmanager
async def opened(link: Locator) -> AsyncIterator[tuple[Page, Response]]:
    """The new tab that a link opens, and the response to its first request."""
    context = link.page.context
    address = await link.evaluate("link => link.href")
    async with (
        context.expect_page() as coming,
        context.expect_event("response", lambda response: response.url == address) as answered,
    ):
        await link.click()
    tab = await coming.value
    await tab.wait_for_load_state()
    yield tab, await answered.value
    await tab.close()


@dataclass
class Watch:
    """What a page did that nobody should see: errors, policy violations, requests elsewhere."""

    problems: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Listens to the page from now on; chromium reports policy violations as errors."""
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.context.on("request", self._note_request)

    def urls_beyond(self, *origins: str) -> list[str]:
        """Requests to any other origin."""
        inert = ("data:", "blob:", "about:")
        return [url for url in self.urls if not url.startswith((*origins, *inert))]

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"{message.type}: {message.text}")

    def _note_request(self, request: Request) -> None:
        self.urls.append(request.url)
