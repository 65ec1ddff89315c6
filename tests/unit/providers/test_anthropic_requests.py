from __future__ import annotations

import base64

import pytest
from tests.unit.providers.claude import ASK, refusal_of, sent_for

from sitebrook.providers.protocol import (
    FileContent,
    FilePart,
    FunctionCall,
    FunctionName,
    FunctionSpec,
    ImagePart,
    ImageUrl,
    JsonSchema,
    NamedToolChoice,
    PromptMessage,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)

_PNG = "data:image/png;base64,AA=="
_WEATHER = FunctionSpec("get_weather", "Tells the weather", {"properties": {"city": {}}})


def _call(call_id: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(call_id, FunctionCall(name, arguments))


def test_the_least_request_has_a_limit_and_nothing_that_was_not_asked_for():
    assert sent_for() == {
        "model": "m",
        "max_tokens": 9000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "stream": True,
    }


def test_options_are_sent_in_the_words_of_the_api():
    sent = sent_for(max_tokens=7, temperature=0.0, top_p=0.5, stop=("x", "y"), user="u-1", n=1)
    assert (sent["max_tokens"], sent["temperature"], sent["top_p"]) == (7, 0.0, 0.5)
    assert sent["stop_sequences"] == ["x", "y"]
    assert sent["metadata"] == {"user_id": "u-1"}


def test_system_text_has_a_place_of_its_own_wherever_it_stood():
    sent = sent_for(
        PromptMessage(role="system", content="One."),
        ASK,
        PromptMessage(role="developer", content=(TextPart("Two."),)),
        PromptMessage(role="system", content=" "),
    )
    assert sent["system"] == "One.\n\nTwo."
    assert [turn["role"] for turn in sent["messages"]] == ["user"]


def test_messages_of_one_side_in_a_row_are_one_turn_without_empty_texts():
    sent = sent_for(
        PromptMessage(role="user", content="a"),
        PromptMessage(role="user", content=(TextPart(""), TextPart("b"))),
        PromptMessage(role="assistant", content="c"),
        PromptMessage(role="assistant", content=" \n"),
        PromptMessage(role="user", content="d"),
    )
    assert [
        (turn["role"], [one["text"] for one in turn["content"]]) for turn in sent["messages"]
    ] == [("user", ["a", "b"]), ("assistant", ["c"]), ("user", ["d"])]


def test_calls_and_their_results_become_blocks_of_two_turns():
    sent = sent_for(
        ASK,
        PromptMessage(
            role="assistant",
            content="I will look.",
            tool_calls=(_call("call.1", "get_weather", '{"city": "Rome"}'), _call("c2", "now", "")),
        ),
        PromptMessage(role="tool", tool_call_id="call.1", content="21 degrees", name="get_weather"),
        PromptMessage(role="tool", tool_call_id="c2", content=(ImagePart(ImageUrl(_PNG)),)),
        PromptMessage(role="user", content="So?"),
    )
    asked, answered = sent["messages"][1:]
    assert asked == {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I will look."},
            {
                "type": "tool_use",
                "id": "call_1",
                "name": "get_weather",
                "input": {"city": "Rome"},
            },
            {"type": "tool_use", "id": "c2", "name": "now", "input": {}},
        ],
    }
    first, second, text = answered["content"]
    assert first == {
        "type": "tool_result",
        "tool_use_id": "call_1",
        "content": [{"type": "text", "text": "21 degrees"}],
    }
    assert (second["tool_use_id"], second["content"][0]["type"]) == ("c2", "image")
    assert text == {"type": "text", "text": "So?"}


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "\ud800"])
def test_arguments_that_are_no_object_are_refused(arguments):
    call = PromptMessage(role="assistant", tool_calls=(_call("c", "f", arguments),))
    result = PromptMessage(role="tool", tool_call_id="c", content="1")
    assert refusal_of(ASK, call, result).param == "messages[].tool_calls"


def test_images_and_files_become_blocks_with_a_source():
    text = base64.b64encode("grün".encode()).decode()
    parts = (
        TextPart("What is it?"),
        ImagePart(ImageUrl("data:IMAGE/PNG;base64,AA==", "high")),
        ImagePart(ImageUrl("https://example.com/a.png")),
        ImagePart(ImageUrl("data:image/jpg;base64,CC==")),
        FilePart(FileContent(file_data="data:application/pdf;base64,BB==", filename="a.pdf")),
        FilePart(FileContent(file_data=f"data:text/plain;charset=utf-8;base64,{text}")),
    )
    sent = sent_for(PromptMessage(role="user", content=parts))
    assert sent["messages"][0]["content"][1:] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/jpeg", "data": "CC=="},
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "BB=="},
            "title": "a.pdf",
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "grün"},
        },
    ]


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(ImageUrl("http://example.com/a.png")),
        ImagePart(ImageUrl("data:image/svg+xml;base64,AA==")),
        ImagePart(ImageUrl("data:image/png,AA")),
        FilePart(FileContent(file_id="file-1")),
        FilePart(FileContent(file_data="data:application/zip;base64,AA==")),
        FilePart(FileContent(file_data="data:text/plain;base64,%%%")),
    ],
)
def test_images_and_files_that_the_api_cannot_read_are_refused(part):
    message = PromptMessage(role="user", content=(TextPart("What is it?"), part))
    assert refusal_of(message).param == "messages[].content"


def test_an_image_in_an_answer_is_refused():
    answer = PromptMessage(role="assistant", content=(ImagePart(ImageUrl(_PNG)),))
    assert refusal_of(ASK, answer, ASK).param == "messages[].content"


def test_tools_are_sent_with_their_schemas():
    sent = sent_for(tools=(Tool(_WEATHER), Tool(FunctionSpec("now"))))
    assert sent["tools"] == [
        {
            "name": "get_weather",
            "description": "Tells the weather",
            "input_schema": {"type": "object", "properties": {"city": {}}},
        },
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in sent


def test_a_strict_tool_has_a_closed_schema():
    strict = FunctionSpec("f", None, {"type": "object", "properties": {"a": {"minimum": 1}}}, True)
    (tool,) = sent_for(tools=(Tool(strict),))["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert tool["input_schema"]["properties"]["a"] == {"description": "{minimum: 1}"}


@pytest.mark.parametrize(
    ("choice", "is_parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        ("none", None, {"type": "none"}),
        ("none", False, {"type": "none"}),
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (NamedToolChoice(FunctionName("now")), None, {"type": "tool", "name": "now"}),
    ],
)
def test_the_choice_of_tools_is_translated(choice, is_parallel, sent):
    body = sent_for(
        tools=(Tool(FunctionSpec("now")),), tool_choice=choice, parallel_tool_calls=is_parallel
    )
    assert body.get("tool_choice") == sent


def test_a_choice_without_tools_is_not_sent():
    assert "tool_choice" not in sent_for(tool_choice="auto", parallel_tool_calls=False)


def test_a_schema_for_the_answer_is_sent_in_the_part_that_the_api_reads():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"C": {"type": "string", "format": "email", "maxLength": 9}},
        "type": "object",
        "description": "A person.",
        "required": ["name"],
        "minProperties": 1,
        "properties": {
            "name": {"oneOf": [{"$ref": "#/$defs/C"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 3},
            "kind": {"enum": ["a", "b"], "format": "odd"},
        },
        "additionalProperties": True,
    }
    wanted = ResponseFormat("json_schema", JsonSchema("person", schema, strict=True))
    assert sent_for(response_format=wanted)["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "$defs": {
                    "C": {"type": "string", "format": "email", "description": "{maxLength: 9}"}
                },
                "type": "object",
                "description": "A person.\n\n{minProperties: 1}",
                "required": ["name"],
                "properties": {
                    "name": {"anyOf": [{"$ref": "#/$defs/C"}, {"type": "null"}]},
                    "tags": {
                        "type": "array",
                        "items": {"type": "object", "additionalProperties": False},
                        "minItems": 1,
                        "description": "{maxItems: 3}",
                    },
                    "kind": {"enum": ["a", "b"], "description": "{format: odd}"},
                },
                "additionalProperties": False,
            },
        }
    }


_SCHEMA = "response_format.json_schema.schema"
_FREE = {"type": "object", "additionalProperties": {"type": "string"}}


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        (ResponseFormat("json_object"), "response_format"),
        (ResponseFormat("json_schema"), _SCHEMA),
        (ResponseFormat("json_schema", JsonSchema("x", {})), _SCHEMA),
        (ResponseFormat("json_schema", JsonSchema("x", _FREE)), _SCHEMA),
    ],
)
def test_forms_of_an_answer_that_cannot_be_said_are_refused(wanted, param):
    assert refusal_of(response_format=wanted).param == param
    assert "output_config" not in sent_for(response_format=ResponseFormat("text"))


@pytest.mark.parametrize(
    ("options", "param"),
    [
        *(({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"seed": 0}, "seed")),
        *(({"top_logprobs": 1}, "top_logprobs"), ({"metadata": {"a": "b"}}, "metadata")),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"temperature": 1.1}, "temperature"),
        ({"stop": ("\n",)}, "stop"),
        ({"reasoning_effort": "minimal"}, "reasoning_effort"),
        (
            {"tools": (Tool(FunctionSpec("f", None, _FREE, True)),)},
            "tools[0].function.parameters",
        ),
    ],
)
def test_what_the_api_lacks_is_refused_by_its_name(options, param):
    refused = refusal_of(**options)
    assert refused.param == param
    assert refused.code == "unsupported_parameter"
    assert "'claude'" in refused.message


def test_a_speaker_s_name_and_an_answer_to_go_on_with_are_refused():
    assert (
        refusal_of(PromptMessage(role="user", content="Hi", name="Ann")).param == "messages[].name"
    )
    assert refusal_of(ASK, PromptMessage(role="assistant", content="So")).param == "messages"


def test_text_that_no_encoding_holds_is_the_caller_s_fault():
    assert refusal_of(PromptMessage(role="user", content="\ud800")).param == "messages"
