from __future__ import annotations

from typing import Any

import pytest
from tests.unit.providers.claude import refusal_of, sent_for

from sitebrook.providers.protocol import FunctionSpec, JsonSchema, ResponseFormat, Tool

_HAIKU_4 = "claude-haiku-4-5-20251001"
_NEWEST = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-mythos-preview")
_NO_SAMPLING = (*_NEWEST, "claude-haiku-5-5", "claude-opus-4-7", "claude-sonnet-5", "claude-opus-5")
_ONE_SAMPLER = (_HAIKU_4, "claude-opus-4-6", "claude-sonnet-4-5-20250929", "claude-opus-4-1")
_OLD = (
    "anthropic/claude-3.5-haiku",
    "claude-3-5-sonnet-20241022",
    "claude-3-opus-20240229",
    "claude-sonnet-4-20250514",
)


@pytest.mark.parametrize(
    "model", [*_NO_SAMPLING, "anthropic.claude-opus-4-8-v1:0", "anthropic/claude-opus-5.5"]
)
def test_models_without_sampling_take_only_its_defaults(model):
    for name in ("temperature", "top_p"):
        assert refusal_of(model=model, **{name: 0.5}).param == name
    sent = sent_for(model=model, temperature=1, top_p=1.0)
    assert not {"temperature", "top_p"} & set(sent)


@pytest.mark.parametrize("model", [*_ONE_SAMPLER, *_OLD, "gateway-model"])
def test_models_of_before_take_one_of_the_two_and_older_ones_both(model):
    assert sent_for(model=model, temperature=0.5)["temperature"] == 0.5
    assert sent_for(model=model, top_p=0.5)["top_p"] == 0.5
    if model in _ONE_SAMPLER:
        assert refusal_of(model=model, temperature=0.5, top_p=0.5).param == "top_p"
    else:
        assert sent_for(model=model, temperature=0.5, top_p=0.5)["top_p"] == 0.5


@pytest.mark.parametrize("model", [*_NEWEST, "claude-haiku-5-5", _HAIKU_4, "gateway-model"])
def test_a_forced_call_is_refused_where_a_model_always_thinks(model):
    options: dict[str, Any] = {"tools": (Tool(FunctionSpec("f")),), "tool_choice": "required"}
    if model in _NEWEST:
        assert refusal_of(model=model, **options).param == "tool_choice"
        return
    sent = sent_for(model=model, **options)
    assert sent["tool_choice"] == {"type": "any"}
    assert sent.get("thinking") == ({"type": "disabled"} if model == "claude-haiku-5-5" else None)


@pytest.mark.parametrize("model", _OLD)
def test_old_models_have_no_schemas(model):
    wanted = ResponseFormat("json_schema", JsonSchema("x", {"type": "object"}))
    assert refusal_of(model=model, response_format=wanted).param == "response_format"
    strict = Tool(FunctionSpec("f", None, {"type": "object"}, True))
    assert refusal_of(model=model, tools=(strict,)).param == "tools[0].function.strict"


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("claude-opus-5-5", {"low", "medium", "high", "xhigh", "max"}),
        ("claude-haiku-5-5", {"none", "low", "medium", "high", "xhigh", "max"}),
        ("claude-opus-4-6", {"none", "low", "medium", "high", "max"}),
        ("claude-opus-4-5-20251101", {"none", "low", "medium", "high"}),
        (_HAIKU_4, {"none"}),
    ],
)
def test_reasoning_effort_becomes_effort_where_the_model_knows_it(model, known):
    for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max"):
        if effort not in known:
            assert refusal_of(model=model, reasoning_effort=effort).param == "reasoning_effort"
        elif effort != "none":
            sent = sent_for(model=model, reasoning_effort=effort)
            assert sent["output_config"] == {"effort": effort}
            assert "thinking" not in sent


def test_no_reasoning_turns_thinking_off_only_where_it_is_on():
    sent = sent_for(model="claude-haiku-5-5", reasoning_effort="none")
    assert sent["thinking"] == {"type": "disabled"}
    assert "output_config" not in sent
    assert "thinking" not in sent_for(model=_HAIKU_4, reasoning_effort="none")


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("claude-haiku-5-5", {"thinking": {"type": "disabled"}}),
        ("claude-opus-5-5", {"output_config": {"effort": "low"}}),
        (_HAIKU_4, {}),
        ("gateway-model", {}),
    ],
)
def test_a_small_limit_leaves_its_tokens_to_the_answer(model, fields):
    assert set(sent_for(model=model)) == {"model", "max_tokens", "messages", "stream"}
    sent = sent_for(model=model, max_tokens=1024)
    assert {name: sent[name] for name in sent.keys() & {"thinking", "output_config"}} == fields
    sent = sent_for(model="claude-opus-5-5", max_tokens=1024, reasoning_effort="high")
    assert sent["output_config"] == {"effort": "high"}
