"""A running server answers from what the command has just taken in."""

from __future__ import annotations

import ast
import html
import itertools
import json
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.commands import succeed
from tests.servers import RunningServer, running_server

FILES = 220
SITE = "sitebrook demo"
QUESTION = "Which video signals use the YIQ colour system?"
ONLY_IN = "colorsys"
FRESH_S = 1.0
_LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3"}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The docstrings of Python's standard library, one page a module, every other one HTML."""
    folder = tmp_path / "library"
    folder.mkdir()
    modules = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    own = (path for path in modules if not _LEFT_OUT & set(path.parts) and path.stem != ONLY_IN)
    texts = (read_docstrings(path) for path in own)
    pages = list(itertools.islice((page for page in texts if len(page[1]) > 300), FILES - 1))
    assert len(pages) == FILES - 1
    colours = read_docstrings(Path(sysconfig.get_path("stdlib")) / f"{ONLY_IN}.py")
    for number, (title, text) in enumerate([*pages, colours]):
        assert ("YIQ" in text) == (title == ONLY_IN)
        name = f"{number:03}-{title}"
        if number % 2:
            (folder / f"{name}.md").write_text(f"# {title}\n\n{text}\n", "utf-8")
        else:
            page = f"<title>{title}</title><h1>{title}</h1><p>{html.escape(text)}</p>"
            (folder / f"{name}.html").write_text(page, "utf-8")
    return folder


def read_docstrings(path: Path) -> tuple[str, str]:
    tree = ast.parse(path.read_bytes())
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    title = path.parent.name if path.name == "__init__.py" else path.stem
    return title, "\n\n".join(text for text in found if text)


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[RunningServer]:
    """A server whose mock answers without any pause."""
    config = tmp_path / "sitebrook.toml"
    config.write_text(
        '[[providers]]\nname = "mock"\nkind = "mock"\n'
        "first_delta_delay_s = 0.0\ndelta_delay_s = 0.0\n",
        "utf-8",
    )
    with running_server(database_url, SITEBROOK_CONFIG=str(config)) as server:
        yield server


def ask(server: RunningServer) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions",
        json.dumps({"messages": [{"role": "user", "content": QUESTION}]}).encode(),
        {"Authorization": f"Bearer {server.secret_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def cited(answer: dict[str, Any]) -> set[str]:
    return {citation["title"] for citation in answer["citations"]}


def ask_until(server: RunningServer, *, cites: bool) -> tuple[dict[str, Any], float]:
    """The first answer that cites the page, or does not, and how long it took to get it."""
    since = time.monotonic()
    while True:
        answer = ask(server)
        took_s = time.monotonic() - since
        if (ONLY_IN in cited(answer)) == cites:
            return answer, took_s
        assert took_s < 10, answer


def test_what_was_taken_in_is_answered_and_cited_within_a_second_and_forgotten_as_fast(
    server: RunningServer,
    database_url: str,
    library: Path,
) -> None:
    assert ONLY_IN not in cited(ask(server))
    arguments = ("ingest", library, "--site", SITE, "--prune")
    said = succeed(*arguments, DATABASE_URL=database_url)
    answer, found_s = ask_until(server, cites=True)
    assert f"Documents: {FILES} ({FILES} added)" in said
    assert "composite video signals" in answer["choices"][0]["message"]["content"]
    assert answer["citations"][0]["title"] == ONLY_IN
    with urllib.request.urlopen(answer["citations"][0]["url"], timeout=10) as page:
        assert b"composite video signals" in page.read()

    next(library.glob(f"*-{ONLY_IN}.*")).unlink()
    said = succeed(*arguments, DATABASE_URL=database_url)
    answer, forgotten_s = ask_until(server, cites=False)
    assert f"({FILES - 1} unchanged, 1 removed)" in said
    assert "composite video signals" not in answer["choices"][0]["message"]["content"]

    print(f"answered after {found_s:.3f} s, forgotten after {forgotten_s:.3f} s")
    assert found_s < FRESH_S
    assert forgotten_s < FRESH_S
