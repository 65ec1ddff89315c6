"""Real clients, unmodified and each in its own environment, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.databases import new_database
from tests.servers import RunningServer, running_server
from tests.soak.environments import CLIENTS, node, node_folder, python_with

pytestmark = pytest.mark.soak
_DRIVER_S = 120
_CONFIG = """
[[providers]]
name = "mock"
kind = "mock"
passthrough = true
first_delta_delay_s = 0
delta_delay_s = 0.005

[[models]]
id = "mock"
route = ["mock/mock"]
"""
_ASKED = json.loads((CLIENTS / "asked.json").read_text("utf-8"))
Command = Callable[[], list[str | Path]]


def _python(driver: str, *requirements: str) -> Command:
    return lambda: [python_with(driver, *requirements), CLIENTS / f"{driver}_driver.py"]


def _node(driver: str, *arguments: str) -> Command:
    return lambda: [node(), node_folder() / f"{driver}-driver.js", *arguments]


_CLIENTS: dict[str, Command] = {
    "openai": _python("openai", "openai==3.54.0"),
    "langchain-openai": _python("langchain", "langchain-openai==1.7.3"),
    # With tools it imports mcp, which it does not depend on.
    "litellm": _python("litellm", "litellm==1.106.2", "mcp==2.3.0"),
    "llm": _python("llm", "llm==0.36"),
    "openai-npm": _node("openai"),
    "vercel-openai": _node("vercel", "openai"),
    "vercel-compatible": _node("vercel", "compatible"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose model is the mock; it has nothing to cite."""
    config = tmp_path_factory.mktemp("clients") / "sitebrook.toml"
    config.write_text(_CONFIG, "utf-8")
    with new_database() as url, running_server(url, SITEBROOK_CONFIG=str(config)) as running:
        yield running


@pytest.fixture(scope="module", params=_CLIENTS)
def got(
    request: pytest.FixtureRequest, server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the client got, as it told it."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LLM_USER_PATH": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network for prices
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "OPENAI_API_KEY": server.secret_key,
    }
    done = subprocess.run(
        _CLIENTS[request.param](),
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=_DRIVER_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_plain_answer_is_whole(got: dict[str, Any]) -> None:
    assert got["plain"]["text"]
    assert got["plain"]["finish"] == "stop"


def test_a_stream_brings_the_same_text_piece_by_piece(got: dict[str, Any]) -> None:
    assert got["stream"]["text"] == got["plain"]["text"]
    assert got["stream"]["pieces"] >= 5
    assert got["stream"]["finish"] == "stop"


@pytest.mark.parametrize("way", ["plain", "stream"])
def test_usage_is_told(got: dict[str, Any], way: str) -> None:
    prompt, completion, total = got[way]["usage"]
    assert prompt > 0
    assert completion >= 5
    assert total == prompt + completion


def test_a_tool_is_called_and_its_result_is_answered(got: dict[str, Any]) -> None:
    assert got["tools"]["name"] == "get_weather"
    assert set(got["tools"]["arguments"]) == {"city"}
    assert _ASKED["toolResult"] in got["tools"]["answer"]


def test_json_schema_gives_an_object_that_fits(got: dict[str, Any]) -> None:
    assert set(got["json_schema"]) == {"city", "days"}
    assert isinstance(got["json_schema"]["city"], str)
    assert got["json_schema"]["days"] >= 1


@pytest.mark.parametrize(
    ("case", "statuses", "words"),
    [
        ("wrong_key", {401}, ["key"]),
        ("bad_value", {400}, ["temperature", "max_tokens"]),
        ("upstream", {502, 503}, [""]),
    ],
)
def test_an_error_is_an_error_with_its_status_and_its_reason(
    got: dict[str, Any], case: str, statuses: set[int], words: list[str]
) -> None:
    error = got["errors"][case]
    assert error["status"] in statuses, error
    assert any(word in error["message"] for word in words), error
