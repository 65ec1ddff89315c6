"""The unmodified ``openai`` npm package as a client."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.client import Api

_ROOT = Path(__file__).parents[3]
_SCRIPT = _ROOT / "tests" / "widget" / "openai-client.js"
_PACKAGE = _ROOT / "widget" / "node_modules" / "openai"


@pytest.fixture(scope="module")
def got(api: Api) -> dict[str, Any]:
    """What the package got from the server."""
    node = shutil.which("node")
    if node is None or not _PACKAGE.exists():
        missing = "the openai npm package is not there: install Node.js, then (cd widget && npm ci)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    environment = {
        "PATH": os.environ["PATH"],
        "OPENAI_BASE_URL": f"{api.server.url}/v1",
        "OPENAI_API_KEY": api.site.secret_key,
    }
    command = [node, str(_SCRIPT), "How are spinnaker sails mended?"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_the_models_are_listed(got: dict[str, Any]):
    assert "mock" in got["models"]


def test_a_plain_answer_has_text_annotations_and_citations(got: dict[str, Any]):
    choice = got["plain"]["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert "ripstop nylon" in choice["message"]["content"]
    titles = {one["url_citation"]["title"] for one in choice["message"]["annotations"]}
    assert any(title.startswith("Sails") for title in titles)
    assert got["plain"]["citations"]
    assert got["plain"]["usage"]["total_tokens"] > 0


def test_a_stream_adds_up_to_the_plain_answer(got: dict[str, Any]):
    chunks = got["chunks"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    text = "".join(delta.get("content") or "" for delta in deltas)
    assert text == got["plain"]["choices"][0]["message"]["content"]
    assert len(chunks) > 10
    reasons = [one["choices"][0]["finish_reason"] for one in chunks if one["choices"]]
    assert [reason for reason in reasons if reason] == ["stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0
    cited = [chunk["citations"] for chunk in chunks if chunk.get("citations")]
    assert cited == [got["plain"]["citations"]]


def test_the_stream_helper_puts_the_same_answer_together(got: dict[str, Any]):
    collected = got["collected"]["choices"][0]
    assert collected["finish_reason"] == "stop"
    assert collected["message"]["content"] == got["plain"]["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("case", "name", "status", "code", "param"),
    [
        ("wrongKey", "AuthenticationError", 401, "invalid_api_key", None),
        ("unknownModel", "NotFoundError", 404, "model_not_found", "model"),
        ("emptyMessages", "BadRequestError", 400, None, "messages"),
        ("emptyMessagesStreamed", "BadRequestError", 400, None, "messages"),
    ],
)
def test_a_refusal_has_its_own_class_and_names_its_cause(
    got: dict[str, Any], case: str, name: str, status: int, code: str | None, param: str | None
):
    error = got[case]
    assert error is not None
    assert (error["name"], error["status"]) == (name, status)
    assert error["param"] == param
    assert code is None or error["code"] == code
    assert error["requestID"]
    assert error["message"]
