"""The browser's own EventSource on the simple stream, with a ticket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page
from tests.browser.widget import Watch
from tests.servers import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="session")

_QUESTION = "How do I add my own documents?"
# Reads until the EventSource is closed: by the page at the end, or by the browser.
_READ = """async ({ key, asked, closes }) => {
  const made = await fetch("/api/tickets", {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ path: "/api/chat/stream" }),
  });
  const { ticket } = await made.json();
  const seen = { text: "", pieces: 0, opened: 0, done: 0, states: [], error: null, citations: [] };
  const source = new EventSource(`/api/chat/stream?${new URLSearchParams({ ticket, ...asked })}`);
  await new Promise((resolve) => {
    const end = () => {
      if (closes) {
        source.close();
        resolve();
      }
    };
    source.onopen = () => { seen.opened += 1; };
    source.onmessage = ({ data }) => {
      if (data === "[DONE]") {
        seen.done += 1;
        return end();
      }
      const frame = JSON.parse(data);
      if (frame.error) {
        seen.error = frame.error;
        return end();
      }
      seen.text += frame.content;
      seen.pieces += 1;
      seen.citations.push(...(frame.citations ?? []).map((one) => one.title));
    };
    source.onerror = () => {
      seen.states.push(source.readyState);
      if (source.readyState === EventSource.CLOSED) {
        resolve();
      }
    };
  });
  return seen;
}"""

_PAGE = Path(__file__).parents[2] / "backend/sitebrook/demo/documents/chat-api.md"
# Asks as a visitor, leaves after the third piece, and reads on as the documentation does.
_READ_ON = """async ({ key, question }) => {
  const post = (path, bearer, body, more) => fetch(path, {
    method: "POST",
    headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json", ...more },
    body: JSON.stringify(body),
  });
  const { token } = await (await post("/api/visitors", key, {})).json();
  const resumed = { "x-sitebrook-resume": "1" };
  const answer = await post("/api/chat/stream", token, { question }, resumed);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let first = "";
  while (first.split("\\n\\n").length < 4) {
    first += (await reader.read()).value;
  }
  await reader.cancel();
  const blocks = first.split("\\n\\n").slice(0, -1);
  const last = blocks.at(-1).match(/^id: (.*)$/m)[1];
  const id = answer.headers.get("x-answer-id");
  const read = (after) => new Promise((resolve) => {
    const frames = [];
    follow(id, token, (data) => {
      frames.push(data);
      if (data === "[DONE]") {
        resolve(frames);
      }
    }, after);
  });
  const begun = blocks.map((block) => block.match(/^data: (.*)$/m)[1]);
  return { begun, rest: await read(last), whole: await read() };
}"""


async def _read(page: Page, key: str, *, closes: bool, **asked: str) -> Any:
    asked = {"question": _QUESTION, **asked}
    return await page.evaluate(_READ, {"key": key, "asked": asked, "closes": closes})


def _streams(page: Page) -> list[str]:
    found: list[str] = []
    page.on("request", lambda sent: found.append(sent.url) if "/chat/stream" in sent.url else None)
    return found


async def test_event_source_shows_an_answer_piece_by_piece(
    server: RunningServer, page: Page, watch: Watch
) -> None:
    await page.goto(f"{server.url}/demo")
    streams = _streams(page)
    seen = await _read(page, server.publishable_key, closes=True)
    assert "[1]" in seen["text"]
    assert seen["pieces"] > 20
    assert seen["citations"] == ["Adding documents"]
    assert (seen["opened"], seen["done"], seen["states"]) == (1, 1, [])
    assert len(streams) == 1
    assert watch.problems == []


async def test_event_source_that_is_not_closed_asks_once_more_and_then_gives_up(
    server: RunningServer, page: Page
) -> None:
    await page.goto(f"{server.url}/demo")
    streams = _streams(page)
    seen = await _read(page, server.publishable_key, closes=False)
    connecting, closed = 0, 2
    assert seen["states"] == [connecting, closed]
    assert (seen["opened"], seen["done"]) == (1, 1)
    await page.wait_for_timeout(500)
    assert len(streams) == 2


async def test_event_source_shows_why_an_answer_broke_off(
    server: RunningServer,
    server_database_url: str,
    page: Page,
    tmp_path: Path,
    with_redis: dict[str, str],
) -> None:
    config = tmp_path / "sitebrook.toml"
    config.write_text('[[models]]\nid = "broken"\nroute = ["mock/mock-truncate-2"]\n', "utf-8")
    env = {"SITEBROOK_CONFIG": str(config), **with_redis}
    with running_server(server_database_url, **env) as broken:
        await page.goto(f"{broken.url}/demo")
        seen = await _read(page, server.secret_key, closes=True, model="broken")
        assert seen["text"]
        assert seen["error"]["code"] == "provider_broke_off"
        assert (seen["opened"], seen["done"]) == (1, 0)
        refused = await _read(page, server.secret_key, closes=True, model="none")
        assert (refused["opened"], refused["states"]) == (0, [2])


async def test_the_documented_way_to_read_on_gets_the_rest(
    server: RunningServer, page: Page, watch: Watch
) -> None:
    snippets = _PAGE.read_text("utf-8").split("```js\n")[1:]
    (follow,) = (one.partition("```")[0] for one in snippets if "function follow" in one)
    await page.goto(f"{server.url}/demo")
    follow = follow.replace("https://chat.example.com", server.url)
    asked = {"key": server.publishable_key, "question": _QUESTION}
    seen = await page.evaluate(f"(asked) => {{ {follow}; return ({_READ_ON})(asked); }}", asked)
    assert seen["begun"]
    assert seen["rest"]
    assert seen["begun"] + seen["rest"] == seen["whole"]
    assert watch.problems == []
