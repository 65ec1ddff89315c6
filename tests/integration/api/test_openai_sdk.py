"""The unmodified OpenAI SDK as a client."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest
from tests.integration.api.client import Api

_QUESTION = "How are spinnaker sails mended?"
_MESSAGES = [{"role": "user", "content": _QUESTION}]
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def client(api: Api) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{api.server.url}/v1", api_key=api.site.secret_key, max_retries=0
    ) as client:
        yield client


def test_a_plain_answer_cites_its_source(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=_MESSAGES)
    message = answer.choices[0].message
    assert answer.model == "mock"
    assert answer.id.startswith("ans_")
    assert answer.choices[0].finish_reason == "stop"
    assert "ripstop nylon" in message.content
    assert [one.type for one in message.annotations] == ["url_citation"] * len(message.annotations)
    assert message.annotations[0].url_citation.title.startswith("Sails")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_adds_up_to_the_plain_answer(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="mock", messages=_MESSAGES)
    chunks = list(client.chat.completions.create(model="mock", messages=_MESSAGES, stream=True))
    assert {(one.id, one.created, one.model) for one in chunks} == {
        (chunks[0].id, chunks[0].created, "mock")
    }
    text = "".join(one.choices[0].delta.content or "" for one in chunks)
    assert text == plain.choices[0].message.content
    assert [one.choices[0].finish_reason for one in chunks if one.choices[0].finish_reason] == [
        "stop"
    ]
    assert all(one.usage is None for one in chunks)
    cited = [one for one in chunks if getattr(one, "citations", None)]
    assert len(cited) == 1
    assert cited[0].citations == plain.citations
    annotations = [one.model_dump() for one in plain.choices[0].message.annotations]
    assert cited[0].choices[0].delta.annotations == annotations


def test_annotations_count_code_points(client: openai.OpenAI) -> None:
    message = client.chat.completions.create(model="mock", messages=_MESSAGES).choices[0].message
    assert any(ord(character) > 0xFFFF for character in message.content)
    named = [one.url_citation for one in message.annotations]
    assert named
    for one in named:
        marker = message.content[one.start_index : one.end_index]
        assert marker[0] + marker[-1] == "[]"
        assert marker[1:-1].isdecimal()


def test_usage_comes_in_a_last_chunk_when_it_is_asked_for(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="mock", messages=_MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    assert all(one.usage is None for one in chunks[:-1])


async def test_the_async_client_streams_and_answers(api: Api) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{api.server.url}/v1", api_key=api.site.secret_key, max_retries=0
    ) as client:
        plain = await client.chat.completions.create(model="mock", messages=_MESSAGES)
        text = ""
        stream = await client.chat.completions.create(model="mock", messages=_MESSAGES, stream=True)
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text == plain.choices[0].message.content


def test_the_stream_helper_builds_the_same_message(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="mock", messages=_MESSAGES) as stream:
        final = stream.get_final_completion()
    plain = client.chat.completions.create(model="mock", messages=_MESSAGES)
    assert final.choices[0].message.content == plain.choices[0].message.content


def test_models_are_listed_and_read(client: openai.OpenAI) -> None:
    listed = [model.id for model in client.models.list()]
    assert listed[0] == "mock"
    assert len(listed) == len(set(listed)) > 2
    assert client.models.retrieve("mock").id == "mock"
    assert client.models.retrieve("auto").id == "mock"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("mcok")
    assert refused.value.code == "model_not_found"


def test_a_wrong_key_is_an_authentication_error(client: openai.OpenAI) -> None:
    wrong = client.with_options(api_key="sk-wrong")
    with pytest.raises(openai.AuthenticationError) as refused:
        wrong.chat.completions.create(model="mock", messages=_MESSAGES)
    assert refused.value.code == "invalid_api_key"
    assert refused.value.request_id
    with pytest.raises(openai.AuthenticationError):
        wrong.chat.completions.create(model="mock", messages=_MESSAGES, stream=True)


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-nowhere", messages=_MESSAGES)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
    ],
)
def test_a_wrong_field_is_a_bad_request_that_names_it(
    client: openai.OpenAI, over: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**{"model": "mock", "messages": _MESSAGES, **over})
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


def test_a_chosen_tool_is_called(client: openai.OpenAI) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    asked = {"model": "mock", "messages": _MESSAGES, "tools": [_TOOL], "tool_choice": choice}
    plain = client.chat.completions.create(**asked).choices[0]
    assert plain.finish_reason == "tool_calls"
    assert plain.message.content is None
    call = plain.message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    pieces = [
        part.function.arguments or ""
        for chunk in client.chat.completions.create(**asked, stream=True)
        for part in chunk.choices[0].delta.tool_calls or ()
    ]
    assert "".join(pieces) == call.function.arguments


def test_a_tools_result_is_answered(client: openai.OpenAI) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    answer = client.chat.completions.create(
        model="mock",
        tools=[_TOOL],
        messages=[
            *_MESSAGES,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": '{"sky": "clear \\u0000"}'},
        ],
    )
    assert "clear \N{REPLACEMENT CHARACTER}" in answer.choices[0].message.content


def test_a_json_schema_is_fitted_and_not_cited(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"days": {"type": "integer"}, "done": {"type": "boolean"}},
        "required": ["days", "done"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "repair", "schema": schema}}
    answer = client.chat.completions.create(
        model="mock", messages=_MESSAGES, response_format=wanted
    )
    found = json.loads(answer.choices[0].message.content)
    assert set(found) == {"days", "done"}
    assert type(found["days"]) is int
    assert not answer.choices[0].message.annotations
    assert answer.citations == []


def test_two_choices_have_an_index_each(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="mock", messages=_MESSAGES, n=2)
    assert [choice.index for choice in plain.choices] == [0, 1]
    texts = ["", ""]
    ends = []
    for chunk in client.chat.completions.create(model="mock", messages=_MESSAGES, n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends += [choice.index] if choice.finish_reason else []
    assert texts == [choice.message.content for choice in plain.choices]
    assert texts[0] != texts[1]
    assert sorted(ends) == [0, 1]


def test_stop_and_max_tokens_end_the_answer(client: openai.OpenAI) -> None:
    asked = {"model": "mock", "messages": _MESSAGES}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    stopped = client.chat.completions.create(**asked, stop=["ripstop"]).choices[0]
    assert stopped.message.content == whole.partition("ripstop")[0]
    assert stopped.finish_reason == "stop"
    for limit in ({"max_tokens": 3}, {"max_completion_tokens": 3}):
        cut = client.chat.completions.create(**asked, **limit)
        assert cut.choices[0].finish_reason == "length"
        assert cut.usage.completion_tokens == 3
        assert whole.startswith(cut.choices[0].message.content)


def test_a_conversation_goes_on_by_its_id(client: openai.OpenAI, api: Api) -> None:
    first = client.chat.completions.create(model="mock", messages=_MESSAGES)
    conversation = {"conversation_id": first.conversation_id}
    short = client.chat.completions.create(
        model="mock", messages=[{"role": "user", "content": "hello"}]
    )
    second = client.chat.completions.create(
        model="mock", messages=[{"role": "user", "content": "hello"}], extra_body=conversation
    )
    assert second.conversation_id == first.conversation_id
    # The mock counts the prompt: it now holds the first question and its answer.
    assert second.usage.prompt_tokens > short.usage.prompt_tokens + first.usage.completion_tokens
    stored = api.send(
        "GET", f"/api/conversations/{first.conversation_id}", None, api.site.server
    ).json
    assert [one["role"] for one in stored["messages"]] == ["user", "assistant"] * 2
    answer = stored["messages"][1]
    assert (answer["content"], answer["status"]) == (first.choices[0].message.content, "complete")
    assert answer["citations"] == first.citations


def test_another_sites_conversation_is_as_unknown_as_one_that_never_was(api: Api) -> None:
    ids = [api.ask("hello").json["conversation_id"], "conv_" + "0" * 22]
    asked = [api.ask("hello", api.other.server, conversation_id=one) for one in ids]
    read = [api.send("GET", f"/api/conversations/{one}", None, api.other.server) for one in ids]
    for mine, never in (asked, read):
        assert (mine.status, never.status) == (404, 404)
        assert mine.body == never.body
