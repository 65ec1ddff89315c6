"""The ``openai`` package."""

from __future__ import annotations

import json

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

client = openai.OpenAI(max_retries=0)
messages = [{"role": "user", "content": QUESTION}]


def _counts(usage):
    return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]


def plain():
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    choice = answer.choices[0]
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "usage": _counts(answer.usage),
    }


def stream():
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    texts = [choice.delta.content for choice in choices if choice.delta.content]
    finish = [choice.finish_reason for choice in choices if choice.finish_reason]
    usage = _counts(chunks[-1].usage)
    return {"text": "".join(texts), "pieces": len(texts), "finish": finish[0], "usage": usage}


def tools():
    asked = [{"role": "user", "content": TOOL_QUESTION}]
    message = (
        client.chat.completions.create(model=MODEL, messages=asked, tools=[TOOL]).choices[0].message
    )
    call = message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": TOOL_RESULT}
    answer = client.chat.completions.create(
        model=MODEL, messages=[*asked, message, result], tools=[TOOL]
    )
    return {
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "answer": answer.choices[0].message.content,
    }


def json_schema():
    schema = {"name": "forecast", "strict": True, "schema": SCHEMA}
    answer = client.chat.completions.create(
        model=MODEL,
        messages=messages,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    return json.loads(answer.choices[0].message.content)


def errors():
    create = client.chat.completions.create
    stranger = openai.OpenAI(api_key=WRONG_KEY, max_retries=0)
    wrong_key = refusal(
        lambda: stranger.chat.completions.create(model=MODEL, messages=messages),
        openai.AuthenticationError,
    )
    bad_value = refusal(
        lambda: create(model=MODEL, messages=messages, temperature=BAD_TEMPERATURE),
        openai.BadRequestError,
    )
    upstream = refusal(
        lambda: create(model=FAILING_MODEL, messages=messages, stream=True),
        openai.InternalServerError,
    )
    return {"wrong_key": wrong_key, "bad_value": bad_value, "upstream": upstream}


tell(
    {
        "plain": plain(),
        "stream": stream(),
        "tools": tools(),
        "json_schema": json_schema(),
        "errors": errors(),
    }
)
