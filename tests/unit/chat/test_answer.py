from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.chat.passages import FakePassage, to_sources

from sitebrook.chat.answer import Answer, AnswerOrigin, Cited
from sitebrook.errors import ProviderError
from sitebrook.providers.protocol import Delta, Finish


class _EndlessStream:
    """An upstream that never stops; some of its deltas are there at once."""

    has_ready = False

    def __init__(self, *, at_once: bool) -> None:
        self.given = 0
        self._at_once = at_once

    def on_ready(self, listener: Any) -> None:
        pass

    def take_deltas(self) -> list[Delta]:
        return [self._next()] if self._at_once else []

    def __aiter__(self) -> _EndlessStream:
        return self

    async def __anext__(self) -> Delta:
        return self._next()

    def _next(self) -> Delta:
        self.given += 1
        return Delta(content="x" * 100_000)

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("at_once", [False, True])
async def test_an_answer_without_an_end_is_broken_off_and_kept_so_far(*, at_once: bool) -> None:
    stored: list[Any] = []
    writer: Any = SimpleNamespace(put=stored.append)
    origin = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p")
    stream: Any = _EndlessStream(at_once=at_once)
    answer = Answer(origin, stream, None, writer)

    async def read() -> None:
        async for _ in answer.batches():
            answer.take_deltas()

    with pytest.raises(ProviderError) as broken:
        await read()
    assert broken.value.code == "provider_malformed"
    assert stream.given <= 102
    assert [one.status for one in stored] == ["interrupted"]


class _ShortStream:
    """An upstream that gives these events and ends."""

    has_ready = False

    def __init__(self, *events: Delta | Finish) -> None:
        self._events = list(events)

    def on_ready(self, listener: Any) -> None:
        pass

    def take_deltas(self) -> list[Delta]:
        return []

    def __aiter__(self) -> _ShortStream:
        return self

    async def __anext__(self) -> Delta | Finish:
        if not self._events:
            raise StopAsyncIteration
        return self._events.pop(0)

    async def aclose(self) -> None:
        pass


async def test_a_passage_that_is_used_without_a_marker_is_cited_and_kept_once_it_is_whole() -> None:
    stored: list[Any] = []

    async def store(turn: Any) -> None:
        stored.append(turn)

    writer: Any = SimpleNamespace(store=store, put=stored.append)
    origin = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p")
    text = "Delivery to Italy costs seven euros and takes three working days."
    stream: Any = _ShortStream(*(Delta(content=one) for one in text), Finish(0, "stop"))
    sources = to_sources([FakePassage(text, title="Delivery")])
    events = [event async for event in Answer(origin, stream, sources, writer).events()]
    assert "".join(one.content for one in events if isinstance(one, Delta)) == text
    *_, cited, finish, _ = events
    assert isinstance(cited, Cited)
    assert isinstance(finish, Finish)
    assert [(one.start, one.end) for one in cited.markers] == [(len(text), len(text))]
    assert [one.quote for one in cited.citations] == [text]
    assert stored[0].citations == cited.citations


async def test_of_an_answer_that_broke_off_only_what_its_markers_name_is_kept() -> None:
    stored: list[Any] = []
    writer: Any = SimpleNamespace(put=stored.append)
    origin = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p")
    passages = [FakePassage("Islands take longer."), FakePassage("Keep the receipt and the box.")]
    stream: Any = _ShortStream(Delta(content="Islands take longer [1]. Keep the receipt and box."))
    events = Answer(origin, stream, to_sources(passages), writer).events()
    await anext(events)
    await events.aclose()
    assert stored[0].status == "interrupted"
    assert [one.quote for one in stored[0].citations] == ["Islands take longer."]


@pytest.mark.parametrize("is_left", [False, True])
async def test_the_question_is_kept_once_with_the_first_events_before_the_answer(
    *, is_left: bool
) -> None:
    stored: list[Any] = []

    async def store(turn: Any) -> None:
        stored.append(turn.status)

    writer: Any = SimpleNamespace(store=store, put=lambda turn: stored.append(turn.status))
    origin = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p")
    stream: Any = _ShortStream(Delta(content="a"), Delta(content="b"), Finish(0, "stop"))
    answer = Answer(origin, stream, None, writer, lambda: stored.append("question"))
    batches = answer.batches()
    await anext(batches)
    assert stored == []
    if is_left:
        await batches.aclose()
        assert stored == ["question", "interrupted"]
        return
    await anext(batches)
    assert stored == ["question"]
    assert [batch async for batch in batches]
    assert stored == ["question", "complete"]
