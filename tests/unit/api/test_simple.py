from __future__ import annotations

import json
from typing import Any

import pytest

from sitebrook.api.errors import to_reply
from sitebrook.api.simple import SimpleFormat
from sitebrook.api.simple_questions import from_parameters, to_parameters
from sitebrook.chat.answer import AnswerEvent, AnswerOrigin, Cited
from sitebrook.chat.citations import Citation
from sitebrook.chat.markers import Marker
from sitebrook.errors import InvalidRequest, ProviderError
from sitebrook.providers.protocol import Delta, Finish, Usage

_ORIGIN = AnswerOrigin(id="ans_1", conversation_id="conv_1", model="m", provider="p", created=7)
_CITATION = Citation(
    index=1, id="c", document="d", title="T", url="u", heading="h", quote="q", score=1
)
_CITED = Cited(0, (Marker(1, 2, 5),), (_CITATION,))


def _frames(*events: AnswerEvent) -> list[Any]:
    form = SimpleFormat()
    form.begin(_ORIGIN)
    body = b"".join(form.encode(event) for event in events)
    blocks = body.split(b"\n\n")
    assert blocks.pop() == b""
    assert not any(b"\n" in block or b"\r" in block for block in blocks)
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


def test_each_text_is_a_frame_and_the_last_one_has_the_sources() -> None:
    content, last = _frames(
        Delta(content="a\r\n\N{GRINNING FACE}\u2028"),
        Delta(reasoning_content="hm"),
        _CITED,
        Finish(0, "stop"),
        Usage(1, 2),
    )
    assert content == {"content": "a\r\n\N{GRINNING FACE}\u2028"}
    assert [one["title"] for one in last.pop("citations")] == ["T"]
    assert last == {"content": "", "finish_reason": "stop", "conversation_id": "conv_1"}


def test_an_answer_without_sources_has_an_empty_list_and_a_refusal_is_text() -> None:
    content, last = _frames(Delta(refusal="I may not."), Finish(0, "content_filter"))
    assert content == {"content": "I may not."}
    assert (last["citations"], last["finish_reason"]) == ([], "content_filter")


def test_an_error_frame_has_the_one_error_shape_also_before_the_answer_began() -> None:
    frame = SimpleFormat().encode_error(to_reply(ProviderError("It broke.", code="x")))
    error = json.loads(frame.removeprefix(b"data: "))["error"]
    assert error == {"message": "It broke.", "type": "provider_error", "param": None, "code": "x"}
    assert SimpleFormat().end() == b"data: [DONE]\n\n"


def test_parameters_are_read_as_utf_8() -> None:
    query = b"question=a+b%20%C3%A9%F0%9F%98%80&empty=&unknown=1"
    assert to_parameters(query)["question"] == "a b \N{LATIN SMALL LETTER E WITH ACUTE}\U0001f600"
    wire = from_parameters({"question": "x", "temperature": "0.5", "max_tokens": "7"})
    assert (wire.temperature, wire.max_tokens, wire.history) == (0.5, 7, None)
    assert from_parameters({"question": "null", "model": "5"}).model == "5"


@pytest.mark.parametrize(
    "query", [b"question=%ff", b"question=%ED%A0%80", b"q=\xc3\xa9", b"a=1&" * 101]
)
def test_a_query_that_is_no_utf_8_or_endless_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest):
        to_parameters(query)


def test_a_parameter_given_twice_is_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        to_parameters(b"question=a&model=b&question=a")
    assert refused.value.param == "question"
