"""Killed with -9 in the middle: the next start works, and nothing is there by half."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path

import psycopg
import pytest
from tests.commands import succeed
from tests.integration.start.installation import Installation

SITE = "sitebrook demo"


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A few documents of hundreds of chunks each."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(4):
        write(folder / f"{number}.md", f"first {number}")
    return folder


def write(file: Path, word: str) -> None:
    lines = [f"Line {line} of the {word} version says little. " * 8 for line in range(600)]
    file.write_text("\n\n".join(["# Document", *lines]), "utf-8")


def wait_until_storing(address: str) -> None:
    """Returns while a transaction that has written chunks is open."""
    query = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE relation = 'embedding'::regclass AND mode = 'RowExclusiveLock'"
    )
    deadline = time.monotonic() + 30
    with psycopg.connect(address, autocommit=True) as connection:
        while True:
            row = connection.execute(query).fetchone()
            if row is not None and row[0]:
                return
            assert time.monotonic() < deadline


def check_whole(address: str) -> dict[str, tuple[int, int]]:
    """Versions and chunks by source, after every document was found whole."""
    with psycopg.connect(address) as connection:
        rows = connection.execute(
            """
            SELECT document.source, document.version, document.chunks,
                (SELECT count(*) FROM chunk WHERE document_id = document.id),
                (SELECT count(*) FROM chunk WHERE document_id = document.id
                    AND version = document.version),
                (SELECT count(*) FROM chunk JOIN embedding ON chunk_id = chunk.id
                    WHERE document_id = document.id),
                (SELECT array_agg(version) FROM document_version WHERE document_id = document.id)
            FROM document
            """
        ).fetchall()
        next_number, highest = connection.execute(
            "SELECT min(next_chunk_number), max(number) FROM knowledge JOIN chunk USING (site_id)"
        ).fetchone() or (0, 0)
    for _, version, chunks, stored, current, embedded, versions in rows:
        assert chunks == stored == current == embedded
        assert versions == [version]
    assert next_number > highest
    return {row[0]: (row[1], row[2]) for row in rows}


@pytest.fixture
def ready(installation: Installation) -> Installation:
    """An installation that was started before, with its database up during the test."""
    if not installation.demo_env.exists():
        with installation.serving():
            pass
    return installation


def test_an_ingest_killed_in_the_middle_of_a_document(ready: Installation, documents: Path) -> None:
    arguments = ("ingest", "--site", SITE, documents)
    succeed("ingest", "--site", SITE, documents / "0.md", documents / "1.md", **ready.env)
    write(documents / "0.md", "second 0")
    with ready.database() as address, ready.command(*arguments) as process:
        wait_until_storing(address)
        process.kill()
        process.wait()
    with ready.database() as address:
        stored = check_whole(address)
        # the new version was under way: the old one is there, wholly
        assert stored[str(documents / "0.md")][0] == 1
        assert str(documents / "2.md") not in stored
    with ready.serving(), ready.database() as address:
        said = succeed(*arguments, **ready.env)
        assert "(2 added, 1 replaced, 1 unchanged)" in said
        stored = check_whole(address)
        assert stored[str(documents / "0.md")][0] == 2
        assert stored[str(documents / "3.md")][1] > 100


def post(ready: Installation, path: str, body: object) -> HTTPResponse:
    request = urllib.request.Request(
        ready.url + path,
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {ready.keys()['SITEBROOK_SECRET_KEY']}",
            "Content-Type": "application/json",
        },
    )
    return urllib.request.urlopen(request, timeout=30)


def read(ready: Installation, path: str) -> dict[str, list[dict[str, str]]]:
    key = ready.keys()["SITEBROOK_SECRET_KEY"]
    request = urllib.request.Request(ready.url + path, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_server_killed_while_it_stores_an_uploaded_document(
    ready: Installation, documents: Path
) -> None:
    body = {"source": "handbook.md", "content": (documents / "0.md").read_text("utf-8")}
    failures: list[Exception] = []

    def upload() -> None:
        try:
            post(ready, "/api/documents", body).close()
        except (OSError, HTTPException) as error:
            failures.append(error)

    with ready.serving() as server, ready.database() as address:
        uploading = threading.Thread(target=upload)
        uploading.start()
        wait_until_storing(address)
        server.process.kill()
        server.process.wait()
        uploading.join(30)
    assert failures
    with ready.serving(), ready.database() as address:
        assert "handbook.md" not in check_whole(address)
        with post(ready, "/api/documents?wait_s=60", body) as answer:
            assert json.load(answer)["status"] in {"added", "unchanged"}
        assert check_whole(address)["handbook.md"][1] > 100


def test_a_server_killed_in_the_middle_of_an_answer(ready: Installation, tmp_path: Path) -> None:
    slow = tmp_path / "slow.toml"
    slow.write_text('[[providers]]\nname = "mock"\nkind = "mock"\ndelta_delay_s = 0.3\n', "utf-8")
    question = "How do I add documents?"
    body = {"messages": [{"role": "user", "content": question}], "stream": True}
    with ready.serving(SITEBROOK_CONFIG=str(slow)) as server:
        with post(ready, "/v1/chat/completions", body) as stream:
            chunks = [line for line in (stream.readline() for _ in range(8)) if line.strip()]
            server.process.kill()
            server.process.wait()
            with contextlib.suppress(OSError, HTTPException):
                assert b"[DONE]" not in stream.read()
        conversation = json.loads(chunks[0].removeprefix(b"data: "))["conversation_id"]
    with ready.serving():
        kept = read(ready, f"/api/conversations/{conversation}")["messages"]
        assert [(one["role"], one["content"]) for one in kept[:1]] == [("user", question)]
        assert not [one for one in kept[1:] if one["status"] == "complete"]
        body = {**body, "stream": False, "conversation_id": conversation}
        with post(ready, "/v1/chat/completions", body) as answer:
            assert json.load(answer)["choices"][0]["finish_reason"] == "stop"
        kept = read(ready, f"/api/conversations/{conversation}")["messages"]
        assert kept[-1]["status"] == "complete"
