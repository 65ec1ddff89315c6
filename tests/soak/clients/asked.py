"""What every driver asks, and how it tells what it got. Standard library only: drivers import it.

A driver prints one JSON object::

    plain        {"text", "finish", "usage": [prompt, completion, total]}
    stream       {"text", "finish", "usage", "pieces": how many texts came}
    tools        {"name", "arguments", "answer": the text after the tool's result}
    json_schema  the object that fits SCHEMA
    errors       {"wrong_key", "bad_value", "upstream"}: each {"status", "message"}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

URL = os.environ.get("OPENAI_BASE_URL", "")
KEY = os.environ.get("OPENAI_API_KEY", "")
_asked: dict[str, Any] = json.loads(Path(__file__).with_name("asked.json").read_text("utf-8"))
MODEL: str = _asked["model"]
FAILING_MODEL: str = _asked["failingModel"]
WRONG_KEY: str = _asked["wrongKey"]
QUESTION: str = _asked["question"]
BAD_TEMPERATURE: float = _asked["badTemperature"]
TOOL_QUESTION: str = _asked["toolQuestion"]
TOOL_RESULT: str = _asked["toolResult"]
TOOL: dict[str, Any] = _asked["tool"]
PARAMETERS: dict[str, Any] = TOOL["function"]["parameters"]
SCHEMA: dict[str, Any] = _asked["schema"]


def refusal(ask: Callable[[], object], kind: type[Exception] = Exception) -> dict[str, Any]:
    """The client's exception when it asks for what is refused."""
    try:
        ask()
    except kind as error:
        return {"status": getattr(error, "status_code", None), "message": str(error)}
    return {"status": 200, "message": "it was not refused"}


def tell(got: dict[str, Any]) -> None:
    """Prints what the test checks."""
    print(json.dumps(got))
