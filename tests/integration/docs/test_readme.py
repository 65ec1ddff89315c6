"""The README's commands and snippets against a real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.commands import command_environment, succeed
from tests.databases import new_database
from tests.servers import RunningServer, running_server

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "backend/sitebrook/demo/documents"
README = (ROOT / "README.md").read_text("utf-8")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDPOINT_ROW = re.compile(r"^\| (`.+?) \| .+ \| .+ \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def demo_database_url() -> Iterator[str]:
    """The database of the server, for programs that ask without HTTP."""
    with new_database() as url:
        yield url


@pytest.fixture(scope="module")
def server(demo_database_url: str) -> Iterator[RunningServer]:
    """A server with the demo site, for all tests here."""
    with running_server(demo_database_url) as server:
        yield server


def environment(server: RunningServer) -> dict[str, str]:
    """What ``source demo.env`` sets."""
    return command_environment(
        SITEBROOK_URL=server.url,
        SITEBROOK_MODEL=server.model,
        SITEBROOK_SECRET_KEY=server.secret_key,
        SITEBROOK_PUBLISHABLE_KEY=server.publishable_key,
    )


def snippets(language: str) -> Iterator[str]:
    for page in (ROOT / "README.md", *sorted(DEMO.glob("*.md"))):
        for found, text in _FENCE.findall(page.read_text("utf-8")):
            if found == language:
                yield text


def documented_operations() -> set[tuple[str, str]]:
    """Method and path of each endpoint in the README's table."""
    found: set[tuple[str, str]] = set()
    for cell in _ENDPOINT_ROW.findall(README):
        methods, waiting = ["GET"], list[str]()
        for span in re.findall(r"`([^`]+)`", cell):
            *method, path = span.split()
            if path.isupper():  # a method by itself shares the path that follows
                waiting.append(path)
                continue
            if method:
                methods, waiting = [*waiting, *method], []
            found |= {(name, path) for name in methods}
    return found


def test_every_endpoint_of_the_readme_exists(server: RunningServer) -> None:
    with urllib.request.urlopen(f"{server.url}/docs/openapi.json", timeout=10) as answer:
        paths = json.load(answer)["paths"]
    described = {
        (method.upper(), re.sub(r"\{\w+\}", "{id}", path))
        for path, operations in paths.items()
        for method in operations
    }
    documented = {one for one in documented_operations() if one[1].startswith("/")}
    assert len(documented) > 15
    pages = documented - described
    assert pages == {
        ("GET", path)
        for path in ("/docs", "/widget.js", "/demo", "/test-streaming.html", "/sources/{id}")
    }
    for _, path in pages:
        if "{id}" not in path:  # a signed link: the tests of citations open it
            with urllib.request.urlopen(server.url + path, timeout=10) as answer:
                assert answer.status == 200


@pytest.mark.parametrize("number", range(len(list(snippets("python")))))
def test_every_python_snippet_prints_an_answer(
    server: RunningServer, demo_database_url: str, number: int
) -> None:
    text = list(snippets("python"))[number]
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**environment(server), "DATABASE_URL": demo_database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\[\d\]", done.stdout)


def test_the_commands_of_the_readme_work_in_their_order(
    server: RunningServer, database_url: str, tmp_path: Path
) -> None:
    block = next(text for text in snippets("sh") if "sitebrook ingest" in text)
    folder = tmp_path / "path/to/documents"
    folder.mkdir(parents=True)
    (folder / "prices.md").write_text("# Prices\n\nIt costs 12 euros a month.\n", "utf-8")
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n', "utf-8")
    done = subprocess.run(
        ["/bin/bash", "-eu", "-c", block],
        cwd=tmp_path,
        env=command_environment(DATABASE_URL=database_url),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "12 euros" in done.stdout
    assert "Prices" in succeed("search", "What does it cost?", DATABASE_URL=database_url)


def test_the_curl_line_of_the_readme_streams_an_answer(server: RunningServer) -> None:
    block = next(text for text in snippets("sh") if "curl -N" in text)
    line = next(line for line in block.splitlines() if line.startswith("curl"))
    done = subprocess.run(
        ["/bin/bash", "-c", line],
        env={**environment(server), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    events = [event for event in done.stdout.split("\n\n") if event]
    assert events[-1] == "data: [DONE]"
    assert len(events) > 10
