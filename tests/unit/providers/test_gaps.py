from __future__ import annotations

import json
from typing import Any

import pytest

from sitebrook.errors import InvalidRequest
from sitebrook.providers.protocol import (
    FileContent,
    FilePart,
    GenerationOptions,
    ImagePart,
    ImageUrl,
    PromptMessage,
    ProviderRequest,
)
from sitebrook.providers.wire import check_dialect, dialect_of, to_body

_OPENAI = "https://api.openai.com/v1"
_GROQ = "https://api.groq.com/openai/v1"
_MISTRAL = "https://api.mistral.ai/v1"
_OTHER = "http://127.0.0.1:11434/v1"
_ASK = PromptMessage(role="user", content="Hi")
_FILE = FilePart(FileContent(file_data="data:application/pdf;base64,AA=="))
_IMAGE = ImagePart(ImageUrl("data:image/png;base64,AA=="))
_EVERYTHING: dict[str, Any] = {
    "n": 2,
    "logprobs": True,
    "top_logprobs": 2,
    "seed": 1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "user": "u-1",
    "metadata": {"a": "b"},
    "reasoning_effort": "low",
}


def _check(base_url: str, *messages: PromptMessage, **options: Any) -> None:
    request = ProviderRequest(
        model="m", messages=messages or (_ASK,), options=GenerationOptions(**options)
    )
    check_dialect("there", request, dialect_of(base_url))


def _refused(base_url: str, *messages: PromptMessage, **options: Any) -> str | None:
    try:
        _check(base_url, *messages, **options)
    except InvalidRequest as refusal:
        return refusal.param
    return None


@pytest.mark.parametrize(
    ("base_url", "lacks"),
    [
        (_OPENAI, {"metadata"}),  # without store
        (
            _GROQ,
            {
                *("n", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty"),
                "metadata",
            },
        ),
        (_MISTRAL, {"logprobs", "top_logprobs", "user"}),
        (_OTHER, set()),
    ],
)
def test_what_an_upstream_lacks_is_refused_by_its_name(base_url, lacks):
    refused = {name for name, value in _EVERYTHING.items() if _refused(base_url, **{name: value})}
    assert refused == lacks
    assert {_refused(base_url, **{name: _EVERYTHING[name]}) for name in lacks} == lacks


def test_a_refusal_names_the_provider_and_what_to_do():
    with pytest.raises(InvalidRequest, match=r"'there' does not have n .* model") as refused:
        _check(_GROQ, n=2)
    assert refused.value.code == "unsupported_parameter"


@pytest.mark.parametrize("base_url", [_OPENAI, _GROQ, _MISTRAL, _OTHER])
def test_values_that_ask_for_nothing_are_never_refused(base_url):
    _check(
        base_url,
        n=1,
        logprobs=False,
        top_logprobs=0,
        presence_penalty=0,
        frequency_penalty=0.0,
        metadata={},
        stop=(),
        tools=(),
    )


@pytest.mark.parametrize(
    ("base_url", "param"),
    [(_GROQ, "messages[].content"), (_MISTRAL, "messages[].content"), (_OPENAI, None)],
)
def test_files_go_only_where_they_are_read(base_url, param):
    assert _refused(base_url, PromptMessage(role="user", content=(_FILE,))) == param
    assert _refused(base_url, PromptMessage(role="user", content=(_IMAGE,))) is None


@pytest.mark.parametrize("base_url", [_GROQ, _MISTRAL])
def test_names_of_speakers_are_refused_and_names_of_tools_left_out(base_url):
    assert _refused(base_url, PromptMessage(role="user", content="Hi", name="Ann"))
    result = PromptMessage(role="tool", content="1", tool_call_id="c", name="find")
    assert _refused(base_url, _ASK, result) is None
    request = ProviderRequest(model="m", messages=(_ASK, result))
    sent = json.loads(to_body(request, dialect_of(base_url)))
    assert sent["messages"][1] == {"role": "tool", "content": "1", "tool_call_id": "c"}


def test_openai_is_asked_to_keep_an_answer_only_when_the_caller_says_so():
    options = GenerationOptions(metadata={"a": "b"}, stores_metadata=True)
    request = ProviderRequest(model="m", messages=(_ASK,), options=options)
    check_dialect("there", request, dialect_of(_OPENAI))
    assert json.loads(to_body(request, dialect_of(_OPENAI)))["store"] is True
    assert "store" not in json.loads(to_body(request, dialect_of(_OTHER)))
    request = ProviderRequest(
        model="m", messages=(_ASK,), options=GenerationOptions(stores_metadata=True)
    )
    assert "store" not in json.loads(to_body(request, dialect_of(_OPENAI)))
