"""The ``langchain-openai`` package."""

from __future__ import annotations

import openai
from asked import (
    BAD_TEMPERATURE,
    FAILING_MODEL,
    MODEL,
    QUESTION,
    SCHEMA,
    TOOL,
    TOOL_QUESTION,
    TOOL_RESULT,
    WRONG_KEY,
    refusal,
    tell,
)
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI


def _model(model=MODEL, **over):
    return ChatOpenAI(model=model, max_retries=0, stream_usage=True, **over)


def _counts(message):
    usage = message.usage_metadata
    return [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]]


def plain():
    message = _model().invoke(QUESTION)
    finish = message.response_metadata["finish_reason"]
    return {"text": message.content, "finish": finish, "usage": _counts(message)}


def stream():
    parts = list(_model().stream(QUESTION))
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    return {
        "text": whole.content,
        "pieces": sum(bool(part.content) for part in parts),
        "finish": whole.response_metadata["finish_reason"],
        "usage": _counts(whole),
    }


def tools():
    model = _model().bind_tools([TOOL])
    asked = HumanMessage(TOOL_QUESTION)
    message = model.invoke([asked])
    (call,) = message.tool_calls
    answer = model.invoke([asked, message, ToolMessage(TOOL_RESULT, tool_call_id=call["id"])])
    return {"name": call["name"], "arguments": call["args"], "answer": answer.content}


def errors():
    return {
        "wrong_key": refusal(
            lambda: _model(api_key=WRONG_KEY).invoke(QUESTION), openai.AuthenticationError
        ),
        "bad_value": refusal(
            lambda: _model(temperature=BAD_TEMPERATURE).invoke(QUESTION), openai.BadRequestError
        ),
        "upstream": refusal(
            lambda: list(_model(FAILING_MODEL).stream(QUESTION)), openai.InternalServerError
        ),
    }


tell(
    {
        "plain": plain(),
        "stream": stream(),
        "tools": tools(),
        "json_schema": _model()
        .with_structured_output(SCHEMA, method="json_schema", strict=True)
        .invoke(QUESTION),
        "errors": errors(),
    }
)
