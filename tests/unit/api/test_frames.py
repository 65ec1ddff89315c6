from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from sitebrook.api.errors import to_reply
from sitebrook.api.exchange import KEEP_ALIVE
from sitebrook.api.frames import ChunkFormat, CompletionBuilder
from sitebrook.chat.answer import AnswerEvent, AnswerOrigin, Cited
from sitebrook.chat.citations import Citation
from sitebrook.chat.markers import Marker
from sitebrook.errors import ProviderError
from sitebrook.providers.protocol import (
    Delta,
    Finish,
    FunctionDelta,
    Logprobs,
    ToolCallDelta,
    Usage,
)

_ORIGIN = AnswerOrigin(
    id="ans_1", conversation_id="conv_1", model="mock", provider="mock", created=7
)
_CITATION = Citation(
    index=1,
    id="chk_1",
    document="doc_1",
    title='A "title"\n\u2028',
    url="https://example.com/\N{GRINNING FACE}",
    heading="A > B",
    quote="\N{GRINNING FACE} said.",
    score=0.5,
)
_CITED = Cited(0, (Marker(1, 2, 5),), (_CITATION,))


def _call(index: int, name: str | None, arguments: str | None, **more: Any) -> Delta:
    function = FunctionDelta(name=name, arguments=arguments)
    return Delta(tool_calls=(ToolCallDelta(index=index, function=function, **more),))


def _chunks(events: list[AnswerEvent], *, includes_usage: bool = False) -> list[Any]:
    form = ChunkFormat(includes_usage=includes_usage)
    form.begin(_ORIGIN)
    body = b"".join(form.encode(event) for event in events)
    assert b"\r" not in body
    blocks = body.split(b"\n\n")
    assert blocks.pop() == b""
    assert not any(b"\n" in block for block in blocks)
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


def _completion(events: list[AnswerEvent]) -> Any:
    builder = CompletionBuilder(_ORIGIN)
    builder.add(events[:1])
    builder.add(events[1:])
    return json.loads(msgspec.json.encode(builder.build()))


def _added_up(chunks: list[Any], index: int) -> dict[str, Any]:
    """One choice of a stream as a client adds it up."""
    found: dict[str, Any] = {"content": "", "refusal": "", "reasoning": ""}
    found |= {"annotations": [], "calls": {}}
    for choice in (one for chunk in chunks for one in chunk["choices"] if one["index"] == index):
        delta = choice["delta"]
        found["content"] += delta.get("content") or ""
        found["refusal"] += delta.get("refusal") or ""
        found["reasoning"] += delta.get("reasoning_content") or ""
        found["annotations"] += delta.get("annotations") or []
        found["finish_reason"] = choice["finish_reason"]
        for part in delta.get("tool_calls") or []:
            call = found["calls"].setdefault(part["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += part.get("id") or ""
            for name in ("name", "arguments"):
                call[name] += part["function"].get(name) or ""
    return found


_TEXT = [
    Delta(content="H\N{GRINNING FACE}"),
    Delta(content="[1]"),
    Delta(content='"\\\u2028\x7f'),
    _CITED,
    Finish(0, "stop"),
    Usage(3, 4),
]
_CALLS = [
    _call(0, "f", "", id="a", type="function"),
    _call(1, "g", None, id="b"),
    _call(0, None, '{"x":'),
    _call(0, None, "1}"),
    _call(1, None, "{}"),
    Finish(0, "tool_calls"),
    Usage(1, 1),
]
_REFUSAL = [Delta(refusal="No"), Delta(refusal="."), Finish(0, "stop"), Usage(1, 1)]
_REASONING = [
    Delta(reasoning_content="h"),
    Delta(reasoning_content="m"),
    Delta(content="a"),
    Finish(0, "stop"),
    Usage(1, 1),
]
_CHOICES = [
    Delta(index=1, content="b"),
    Delta(index=0, content="a"),
    Finish(1, "length"),
    Finish(0, "stop"),
    Usage(1, 2),
]
_EMPTY = [Finish(0, "content_filter"), Usage(1, 0, is_estimated=True)]


@pytest.mark.parametrize("events", [_TEXT, _CALLS, _REFUSAL, _REASONING, _CHOICES, _EMPTY])
def test_a_stream_adds_up_to_the_completion(events: list[AnswerEvent]) -> None:
    chunks, whole = _chunks(events), _completion(events)
    assert whole["object"] == "chat.completion"
    for choice in whole["choices"]:
        found, message = _added_up(chunks, choice["index"]), choice["message"]
        assert found["content"] == (message["content"] or "")
        assert found["refusal"] == (message["refusal"] or "")
        assert found["reasoning"] == message.get("reasoning_content", "")
        assert found["annotations"] == message["annotations"]
        assert found["finish_reason"] == choice["finish_reason"]
        calls = [{"id": call["id"], **call["function"]} for call in message.get("tool_calls") or ()]
        assert [found["calls"][number] for number in sorted(found["calls"])] == calls
    for name in ("id", "created", "model"):
        assert {chunk[name] for chunk in chunks} == {whole[name]}
    assert chunks[0]["conversation_id"] == whole["conversation_id"]
    cited = [chunk["citations"] for chunk in chunks if "citations" in chunk]
    assert (cited[0] if cited else []) == whole["citations"]


@pytest.mark.parametrize("events", [_TEXT, _CALLS, _REFUSAL, _REASONING, _CHOICES, _EMPTY])
def test_every_choice_begins_with_its_role_and_ends_once(events: list[AnswerEvent]) -> None:
    chunks = _chunks(events)
    for index in {one["index"] for chunk in chunks for one in chunk["choices"]}:
        mine = [one for chunk in chunks for one in chunk["choices"] if one["index"] == index]
        assert mine[0]["delta"] == {"role": "assistant", "content": ""}
        assert [one["finish_reason"] for one in mine[:-1]] == [None] * (len(mine) - 1)
        assert mine[-1]["delta"] == {}
        assert mine[-1]["finish_reason"]


def test_usage_is_sent_only_when_it_was_asked_for() -> None:
    assert not any("usage" in chunk for chunk in _chunks(_TEXT))
    *chunks, last = _chunks(_TEXT, includes_usage=True)
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert last["choices"] == []
    assert last["usage"] == _completion(_TEXT)["usage"]
    assert last["usage"]["total_tokens"] == 7


def test_a_completion_of_calls_has_no_content_and_one_without_has_no_calls() -> None:
    assert _completion(_CALLS)["choices"][0]["message"]["content"] is None
    message = _completion(_EMPTY)["choices"][0]["message"]
    assert message["content"] == ""
    assert "tool_calls" not in message


def test_logprobs_add_up() -> None:
    tokens = [{"token": "a", "logprob": -1.5}, {"token": "b", "logprob": -2.0}]
    events: list[AnswerEvent] = [
        Delta(content=token["token"], logprobs=Logprobs(content=(token,))) for token in tokens
    ]
    events += [Finish(0, "stop"), Usage(1, 1)]
    choices = [chunk["choices"][0] for chunk in _chunks(events)[1:3]]
    assert [choice["logprobs"] for choice in choices] == [{"content": [one]} for one in tokens]
    assert _completion(events)["choices"][0]["logprobs"] == {"content": tokens}


def test_what_there_is_not_is_left_out_of_the_message() -> None:
    choice = _completion([Delta(content="a"), Finish(0, "stop"), Usage(1, 1)])["choices"][0]
    assert set(choice["message"]) == {"role", "content", "refusal", "annotations"}
    assert choice["logprobs"] is None


def test_an_error_frame_is_one_data_line_with_the_error_shape() -> None:
    frame = ChunkFormat(includes_usage=False).encode_error(
        to_reply(ProviderError("It\nbroke.", code="provider_broke_off"))
    )
    assert frame.startswith(b"data: ")
    assert frame.endswith(b"}}\n\n")
    assert frame.count(b"\n") == 2
    error = json.loads(frame[6:])["error"]
    assert error == {
        "message": "It\nbroke.",
        "type": "provider_error",
        "param": None,
        "code": "provider_broke_off",
    }


def test_the_fixed_frames_are_what_clients_expect() -> None:
    assert ChunkFormat(includes_usage=False).end() == b"data: [DONE]\n\n"
    assert KEEP_ALIVE == b": keep-alive\n\n"
