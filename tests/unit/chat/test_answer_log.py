from __future__ import annotations

from decimal import Decimal
from typing import Any

from sitebrook.chat.answer import AnswerEvent, AnswerOrigin, Cited
from sitebrook.chat.answer_log import (
    AnswerHead,
    AnswerLog,
    Begun,
    LoggedError,
    LoggedEvent,
    from_log,
    stream_of,
)
from sitebrook.chat.citations import Citation
from sitebrook.chat.markers import Marker
from sitebrook.events.log import LOST, SNAPSHOT
from sitebrook.events.ring_log import RingLog
from sitebrook.providers.protocol import (
    Delta,
    Finish,
    FunctionDelta,
    Logprobs,
    ToolCallDelta,
    Usage,
)
from sitebrook.settings import EventSettings

_CITATION = Citation(
    index=1, id="c", document="d", title="t", url="u", heading="h", quote="q", score=0.5
)
_TOOL = ToolCallDelta(index=0, id="call", type="function", function=FunctionDelta("f", "{}"))
_EVENTS: list[AnswerEvent] = [
    Delta(content='Hé "quoted"\n'),
    Delta(content="b", index=1),
    Delta(tool_calls=(_TOOL,)),
    Delta(refusal="no"),
    Delta(reasoning_content="hm"),
    Delta(content="x", logprobs=Logprobs(content=({"token": "x"},))),
    Cited(0, (Marker(1, 2, 3),), (_CITATION,)),
    Finish(0, "stop"),
    Usage(1, 2, is_estimated=True, cost=Decimal("0.000123")),
    Usage(1, 2, cached_tokens=3, cost=None),
    Usage(1, 2),
]
_ORIGIN = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p", created=7)
_BEGUN = Begun(id="ans_1", conversation_id="conv_1", model="m", provider="p", created=7)


def _open(**settings: Any) -> tuple[RingLog, AnswerLog]:
    log = RingLog(EventSettings(**settings))
    answer = AnswerLog(log, "site_1", "ans_1", AnswerHead("chunks"))
    return log, answer


async def _read(log: RingLog) -> list[LoggedEvent]:
    async with log.read(stream_of("site_1", "ans_1")) as reader:
        return [told async for event in reader for told in from_log(event)]


async def test_every_event_of_an_answer_is_read_as_it_was() -> None:
    log, answer = _open()
    answer.begin(_ORIGIN)
    positions = [answer.add(event) for event in _EVENTS]
    answer.close()
    assert positions == [f"1-{number}" for number in range(2, len(_EVENTS) + 2)]
    begun, *events = await _read(log)
    assert begun == _BEGUN
    assert events == _EVENTS
    assert isinstance(begun, Begun)
    assert begun.to_origin().created == 7


async def test_a_snapshot_has_the_whole_text_and_what_came_beside_it() -> None:
    log, answer = _open(length=10)
    answer.begin(_ORIGIN)
    for number in range(50):
        answer.add(Delta(content=f"{number} "))
        answer.add(Delta(content="b", index=1))
    answer.add(Delta(tool_calls=(_TOOL,)))
    async with log.read(stream_of("site_1", "ans_1")) as reader:
        event = await anext(reader)
    assert event.kind == SNAPSHOT
    assert from_log(event) == [
        _BEGUN,
        Delta(content="".join(f"{number} " for number in range(50))),
        Delta(content="b" * 50, index=1),
        Delta(tool_calls=(_TOOL,)),
    ]


async def test_how_it_broke_off_is_read_as_it_was_told() -> None:
    log, answer = _open()
    answer.begin(_ORIGIN)
    answer.fail(b'{"error":{"message":"m"}}')
    answer.abandon()
    assert await _read(log) == [_BEGUN, LoggedError(b'{"error":{"message":"m"}}')]


async def test_an_answer_without_a_first_delta_has_nothing_to_tell() -> None:
    log, answer = _open()
    answer.abandon()
    assert await _read(log) == []


async def test_what_is_too_large_for_the_log_ends_the_log_alone() -> None:
    log, answer = _open()
    answer.begin(_ORIGIN)
    assert answer.add(Delta(content="a")) == "1-2"
    for content in ("x" * 1_000_001, "b"):
        assert answer.add(Delta(content=content)) == ""
    answer.fail(b"{}")
    answer.close()
    async with log.read(stream_of("site_1", "ans_1")) as reader:
        events = [event async for event in reader]
    assert [event.kind for event in events] == ["begun", "delta", LOST]
