"""The ``litellm`` package as a client."""

from __future__ import annotations

import json

import litellm
from asked import (
    BAD_TEMPERATURE,
    FAILING_MODEL,
    KEY,
    MODEL,
    QUESTION,
    SCHEMA,
    TOOL,
    TOOL_QUESTION,
    TOOL_RESULT,
    URL,
    WRONG_KEY,
    refusal,
    tell,
)

messages = [{"role": "user", "content": QUESTION}]


def _complete(model=MODEL, **over):
    return litellm.completion(
        **{"messages": messages, "api_base": URL, "api_key": KEY, "num_retries": 0, **over},
        model=f"openai/{model}",
    )


def _counts(usage):
    return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]


def plain():
    answer = _complete()
    choice = answer.choices[0]
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "usage": _counts(answer.usage),
    }


def stream():
    chunks = list(_complete(stream=True, stream_options={"include_usage": True}))
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    texts = [choice.delta.content for choice in choices if choice.delta.content]
    finish = [choice.finish_reason for choice in choices if choice.finish_reason]
    usage = [_counts(chunk.usage) for chunk in chunks if getattr(chunk, "usage", None)]
    return {"text": "".join(texts), "pieces": len(texts), "finish": finish[0], "usage": usage[-1]}


def tools():
    asked = [{"role": "user", "content": TOOL_QUESTION}]
    message = _complete(messages=asked, tools=[TOOL]).choices[0].message
    call = message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": TOOL_RESULT}
    answer = _complete(messages=[*asked, message.model_dump(), result], tools=[TOOL])
    return {
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "answer": answer.choices[0].message.content,
    }


def json_schema():
    schema = {"name": "forecast", "strict": True, "schema": SCHEMA}
    answer = _complete(response_format={"type": "json_schema", "json_schema": schema})
    return json.loads(answer.choices[0].message.content)


def errors():
    return {
        "wrong_key": refusal(lambda: _complete(api_key=WRONG_KEY), litellm.AuthenticationError),
        "bad_value": refusal(
            lambda: _complete(temperature=BAD_TEMPERATURE), litellm.BadRequestError
        ),
        "upstream": refusal(lambda: list(_complete(FAILING_MODEL, stream=True))),
    }


tell(
    {
        "plain": plain(),
        "stream": stream(),
        "tools": tools(),
        "json_schema": json_schema(),
        "errors": errors(),
    }
)
