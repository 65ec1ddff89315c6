from __future__ import annotations

import asyncio
import json

import pytest

from sitebrook.errors import InvalidRequest, ProviderError
from sitebrook.providers.mock import MockProvider
from sitebrook.providers.mock.schema import minimal_instance
from sitebrook.providers.protocol import (
    Delta,
    Finish,
    FunctionCall,
    FunctionName,
    FunctionSpec,
    GenerationOptions,
    ImagePart,
    ImageUrl,
    JsonSchema,
    NamedToolChoice,
    PromptMessage,
    PromptPassage,
    ProviderRequest,
    ResponseFormat,
    Tool,
    ToolCall,
    Usage,
)
from sitebrook.settings import ProviderSettings

CODE = '```html\n<script src="/widget.js"\n        data-site-key="pk-1"></script>\n```'
PASSAGES = (
    PromptPassage(
        1,
        "Guide > Put the widget on a page",
        f"## Put the widget on a page\n\nAdd one script tag to the page:\n\n{CODE}\n\n"
        "The widget never blocks it [3]. Streaming is switched off by an attribute.",
    ),
    PromptPassage(
        2,
        "Settings",
        "| Variable | Default |\n|---|---|\n| `SITEBROOK_PORT` | 8000 |\n\nUnknown names stop it.",
    ),
    PromptPassage(
        3, "Guida", "I documenti si aggiungono con `sitebrook ingest`. Sono accettati file HTML."
    ),
)
WEATHER = Tool(
    FunctionSpec(
        "get_weather",
        parameters={
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
        },
    )
)


def make_mock(**over) -> MockProvider:
    fields = {"name": "mock", "kind": "mock", "first_delta_delay_s": 0, "delta_delay_s": 0, **over}
    return MockProvider(ProviderSettings(**fields))


def request(question: str, **over) -> ProviderRequest:
    messages = (PromptMessage(role="user", content=question),)
    fields = {"model": "mock", "messages": messages, "passages": PASSAGES, **over}
    return ProviderRequest(**fields)


async def events(question: str, **over) -> list:
    return [one async for one in await make_mock().open(request(question, **over))]


def text_of(seen: list, index: int = 0) -> str:
    return "".join(one.content for one in seen if isinstance(one, Delta) and one.index == index)


async def ask(question: str, **over) -> str:
    return text_of(await events(question, **over))


async def test_it_answers_from_the_passage_that_fits_and_cites_it():
    assert "8000 [2]" in await ask("Which port is the default?")
    assert "[1]" not in await ask("Which port is the default?")


async def test_a_code_block_stays_whole_and_follows_its_sentence():
    answer = await ask("How do I put the widget on my page?")
    assert f"Add one script tag to the page [1]:\n\n{CODE}" in answer


async def test_markers_of_the_documents_are_not_quoted():
    assert "[3]" not in await ask("Does the widget block?")


async def test_singular_and_plural_are_one_word():
    passages = (PromptPassage(1, "Prices", "It costs 12 euros a month."),)
    assert await ask("What does it cost?", passages=passages) == "It costs 12 euros a month [1]."
    assert "costs" in await ask("What are the costs?", passages=passages)


async def test_it_answers_in_the_language_of_the_question():
    assert "sitebrook ingest` [3]." in await ask("Come si aggiungono i documenti?")
    assert (await ask("Qual è la capitale della Francia?")).startswith("Non ho trovato nulla")
    assert (await ask("xyzzy", language="it")).startswith("Non ho trovato nulla")


@pytest.mark.parametrize("passages", [(), PASSAGES])
async def test_it_says_when_there_is_nothing_about_it(passages):
    answer = await ask("What is the capital of France?", passages=passages)
    assert answer == "I could not find anything about this in the documents of this site."


async def test_without_retrieval_it_says_what_it_is_and_was_asked():
    answer = await ask("Tell me\na story", passages=(), uses_passages=False)
    assert "mock model" in answer
    assert answer.endswith("> Tell me\n> a story")


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        *(("Hello!", "Hello!"), ("thanks a lot", "You are welcome"), ("Ciao", "Ciao!")),
        *(("grazie mille", "Prego"), ("Who are you?", "I am sitebrook's mock model")),
    ],
)
async def test_small_talk_is_answered_briefly(said, heard):
    assert (await ask(said)).startswith(heard)


async def test_a_greeting_before_a_question_is_no_small_talk():
    assert "8000" in await ask("Hello, which port is the default?")


async def test_the_same_request_gives_the_same_events():
    options = GenerationOptions(seed=3, n=2)
    first = await events("Which port?", options=options)
    assert first == await events("Which port?", options=options)


async def test_the_seed_changes_the_wording():
    answers = {await ask("Which port?", options=GenerationOptions(seed=seed)) for seed in range(8)}
    assert 1 < len(answers) <= 4
    assert all("8000" in answer for answer in answers)


async def test_every_choice_ends_once_and_usage_comes_last():
    seen = await events("Which port?", options=GenerationOptions(n=3))
    assert [one.index for one in seen if isinstance(one, Finish)] == [0, 1, 2]
    assert text_of(seen, 1) != text_of(seen, 0)
    deltas = sum(isinstance(one, Delta) for one in seen)
    assert seen[-1] == Usage(2, deltas)


async def test_max_tokens_cuts_and_says_so():
    seen = await events("Which port?", options=GenerationOptions(max_tokens=2))
    assert sum(isinstance(one, Delta) for one in seen) == 2
    assert Finish(0, "length") in seen


async def test_stop_ends_before_the_text():
    seen = await events("Which port?", options=GenerationOptions(stop=("8000",)))
    assert text_of(seen).endswith("— ")
    assert Finish(0, "stop") in seen


async def test_json_formats_give_json():
    plain = await ask(
        "Which port?", options=GenerationOptions(response_format=ResponseFormat("json_object"))
    )
    assert set(json.loads(plain)) == {"answer"}
    schema = JsonSchema(
        "s", {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"]}
    )
    options = GenerationOptions(response_format=ResponseFormat("json_schema", schema))
    assert json.loads(await ask("Which port?", options=options)) == {"a": "x"}


@pytest.mark.parametrize(
    ("question", "choice", "is_called"),
    [
        ("Which port?", "required", True),
        ("Which port?", NamedToolChoice(FunctionName("get_weather")), True),
        ("What is the weather in Rome?", "auto", True),
        ("What is the weather in Rome?", None, True),
        ("What is the weather in Rome?", "none", False),
        ("Which port?", "auto", False),
    ],
)
async def test_a_tool_is_called_when_asked_for_or_named(question, choice, is_called):
    options = GenerationOptions(tools=(WEATHER,), tool_choice=choice)
    seen = await events(question, options=options)
    calls = [one.tool_calls[0] for one in seen if isinstance(one, Delta) and one.tool_calls]
    assert bool(calls) == is_called
    if is_called:
        assert calls[0].function.name == "get_weather"
        assert json.loads("".join(call.function.arguments or "" for call in calls)) == {
            "city": "mock",
            "days": 1,
        }
        assert Finish(0, "tool_calls") in seen


async def test_a_tool_s_result_is_told():
    call = ToolCall("call_1", FunctionCall("get_weather", "{}"))
    messages = (
        PromptMessage(role="user", content="What is the weather in Rome?"),
        PromptMessage(role="assistant", tool_calls=(call,)),
        PromptMessage(role="tool", tool_call_id="call_1", content='{"sky":"clear","c":21}'),
    )
    options = GenerationOptions(tools=(WEATHER,))
    answer = await ask("", messages=messages, options=options)
    assert "`get_weather`" in answer
    assert answer.endswith("- sky: clear\n- c: 21")


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"options": GenerationOptions(logprobs=True)}, "logprobs"),
        ({"options": GenerationOptions(n=99)}, "n"),
        ({"options": GenerationOptions(tool_choice="required")}, "tools"),
        (
            {"options": GenerationOptions(tool_choice=NamedToolChoice(FunctionName("x")))},
            "tool_choice",
        ),
        (
            {"messages": (PromptMessage(role="user", content=(ImagePart(ImageUrl("data:,")),)),)},
            "messages[].content",
        ),
    ],
)
async def test_what_it_does_not_have_is_refused_by_name(over, param):
    with pytest.raises(InvalidRequest) as caught:
        await events("Which port?", **over)
    assert caught.value.param == param


async def test_deltas_are_paced_without_drift():
    loop = asyncio.get_running_loop()
    since = loop.time()
    stream = await make_mock(first_delta_delay_s=0.05, delta_delay_s=0.005).open(request("Hello"))
    first = loop.time() - since
    count = sum([isinstance(one, Delta) async for one in stream])
    assert 0.045 < first < 0.1
    assert loop.time() - since == pytest.approx(0.05 + 0.005 * (count - 1), abs=0.05)


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("mock-fail-429", 429, "provider_error"),
        ("mock-quota", 429, "insufficient_quota"),
        ("mock-stall", None, "provider_timeout"),
    ],
)
async def test_faults_before_the_first_delta_refuse(model, status, code):
    with pytest.raises(ProviderError) as caught:
        await make_mock(first_delta_timeout_s=0.02).open(request("Hello", model=model))
    assert (caught.value.upstream_status, caught.value.code) == (status, code)


@pytest.mark.parametrize(
    ("model", "code"),
    [("mock-truncate-2", "provider_broke_off"), ("mock-stall-2", "provider_timeout")],
)
async def test_faults_after_some_deltas_break_off(model, code):
    stream = await make_mock(idle_timeout_s=0.02).open(request("Hello", model=model))
    assert isinstance(await anext(stream), Delta)
    assert isinstance(await anext(stream), Delta)
    with pytest.raises(ProviderError) as caught:
        await anext(stream)
    assert caught.value.code == code
    assert [one async for one in stream] == []


async def test_a_closed_stream_gives_nothing_more():
    stream = await make_mock().open(request("Hello"))
    await stream.aclose()
    assert [one async for one in stream] == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "mock"),
        ({"type": ["null", "boolean"]}, False),
        ({"const": 4}, 4),
        ({"type": "string", "minLength": 6}, "mock--"),
        ({"type": "string", "maxLength": 2}, "mo"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "minimum": 0.5}, 1),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "minimum": 11, "multipleOf": 5}, 15),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "minimum": 0.25, "maximum": 0.75}, 0.25),
        ({"type": "number", "exclusiveMaximum": 0}, -1),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [None, None]),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 0),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "null"}}}]}, {"a": None}),
        (
            {
                "$ref": "#/$defs/tree",
                "$defs": {
                    "tree": {
                        "type": "object",
                        "properties": {
                            "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}
                        },
                        "required": ["next"],
                    }
                },
            },
            {"next": None},
        ),
    ],
)
def test_the_smallest_instance_fits_its_schema(schema, value):
    assert minimal_instance(schema) == value


def test_a_schema_without_an_end_ends():
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}
    assert minimal_instance(schema) is not ...
    loop = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    assert minimal_instance(loop)["a"]["a"]
