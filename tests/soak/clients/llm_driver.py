"""The ``llm`` package, its models named in the file that it reads for OpenAI's wire."""

from __future__ import annotations

import json
import os
from pathlib import Path

from asked import (
    FAILING_MODEL,
    KEY,
    MODEL,
    PARAMETERS,
    QUESTION,
    SCHEMA,
    TOOL_QUESTION,
    TOOL_RESULT,
    URL,
    WRONG_KEY,
    refusal,
    tell,
)

models = [
    {
        "model_id": f"site:{name}",
        "model_name": name,
        "api_base": URL,
        "supports_schema": True,
        "supports_tools": True,
        "api_key_name": "sitebrook",  # without one it sends a dummy key
    }
    for name in (MODEL, FAILING_MODEL)
]
# JSON is YAML too.
(Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml").write_text(json.dumps(models))

import llm  # noqa: E402 - it looks for its folder when it is imported

model = llm.get_model(f"site:{MODEL}")
failing = llm.get_model(f"site:{FAILING_MODEL}")


def _told(response, **more):
    usage = response.usage()
    told = response.response_json  # of a stream: put together, without choices
    finish = told.get("choices", [told])[0]["finish_reason"]
    total = usage.input + usage.output
    return {
        "text": response.text(),
        "finish": finish,
        "usage": [usage.input, usage.output, total],
        **more,
    }


def plain():
    return _told(model.prompt(QUESTION, stream=False, key=KEY))


def stream():
    response = model.prompt(QUESTION, stream=True, key=KEY)
    pieces = sum(bool(piece) for piece in response)
    return _told(response, pieces=pieces)


def tools():
    called = []

    def weather(**arguments):
        called.append(arguments)
        return TOOL_RESULT

    tool = llm.Tool(
        name="get_weather",
        description="The weather in a city.",
        input_schema=PARAMETERS,
        implementation=weather,
    )
    answer = model.chain(TOOL_QUESTION, tools=[tool], stream=False, key=KEY).text()
    return {"name": "get_weather", "arguments": called[0], "answer": answer}


def errors():
    def ask(one, key=KEY, **options):
        return one.prompt(QUESTION, stream=True, key=key, **options).text()

    return {
        "wrong_key": refusal(lambda: ask(model, WRONG_KEY)),
        "bad_value": refusal(lambda: ask(model, max_tokens=-1)),  # it checks temperatures itself
        "upstream": refusal(lambda: ask(failing)),
    }


tell(
    {
        "plain": plain(),
        "stream": stream(),
        "tools": tools(),
        "json_schema": json.loads(
            model.prompt(QUESTION, schema=SCHEMA, stream=False, key=KEY).text()
        ),
        "errors": errors(),
    }
)
