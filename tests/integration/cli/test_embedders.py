"""``sitebrook embedder``, with the model of a folder."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.commands import refusal, run, run_on_terminal, started, succeed, wait_until
from tests.databases import to_libpq
from tests.fakes.onnx_folder import WORDS, make_folder

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database

HASHING = "hashing-1-512"
# So that the job of a killed command is soon known to be nobody's.
_QUICK = {"SITEBROOK_JOB_HEARTBEAT_S": "0.2", "SITEBROOK_JOB_STALLED_S": "1"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    card = {"sitebrook.json": {"name": "tiny", "languages": ["en"]}}
    return make_folder(tmp_path / "model", files=card)


def rows(listed: str) -> list[list[str]]:
    return [line.split() for line in listed.splitlines()[1:]]


def test_the_embedders_of_settings_and_sites_are_listed(
    database_url: str, site: Site, folder: Path, model: Path
) -> None:
    succeed("ingest", folder, DATABASE_URL=database_url)
    env = {"DATABASE_URL": database_url, "SITEBROOK_EMBEDDING_FOLDER": str(model)}
    first, second = rows(succeed("embedder", "list", **env))
    assert first[0].startswith("onnx:tiny@")
    assert first[1:] == ["new", "sites", "en"]
    assert second == [HASHING, "yes", "all", site.id]
    succeed("embedder", "switch", **env)
    listed = rows(succeed("embedder", "list", DATABASE_URL=database_url))
    assert listed[0] == [HASHING, "new", "sites", "all"]
    assert listed[1] == [first[0], "no", site.id]


def test_a_site_is_switched_to_the_model_of_a_folder_and_searched_with_it(
    database_url: str, site: Site, tmp_path: Path, model: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# boot\n\nboot boot\n", "utf-8")
    other = tmp_path / "other.md"
    other.write_text("# parcel\n\nparcel parcel\n", "utf-8")
    succeed("ingest", page, other, DATABASE_URL=database_url)
    env = {"DATABASE_URL": database_url, "SITEBROOK_EMBEDDING_FOLDER": str(model)}
    done = run("embedder", "switch", **env)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "[2/2] embedded"
    assert done.stdout.startswith("Embedder: onnx:tiny@")
    assert f"(before: {HASHING}), vectors made: 2, removed: 2" in done.stdout
    # No word in common: only the model knows that a shoe is like a boot.
    found = succeed("search", "shoe", **env)
    assert "boot" in found
    # Without the model, keywords alone.
    assert "is not configured" in run("search", "boot", DATABASE_URL=database_url).stderr
    here = run("embedder", "switch", HASHING, "--sync", **env)
    assert here.stderr.splitlines() == ["[0/2] embedded", "[2/2] embedded"]
    assert f"Embedder: {HASHING}" in here.stdout
    succeed("embedder", "switch", **env)
    status, shown = run_on_terminal("embedder", "switch", HASHING, **env)
    assert status == 0
    assert f"Embedder: {HASHING}" in shown


def test_a_detached_switch_is_left_to_a_job_that_can_be_stopped_or_followed(
    database_url: str, site: Site, folder: Path, model: Path
) -> None:
    succeed("ingest", folder, DATABASE_URL=database_url)
    env = {"DATABASE_URL": database_url, "SITEBROOK_EMBEDDING_FOLDER": str(model)}
    first = succeed("embedder", "switch", "--detach", **env).strip()
    assert succeed("embedder", "switch", "--detach", **env).strip() == first
    assert succeed("embedder", "switch", "--stop", **env) == "No switch is under way.\n"
    assert "cancelled" in succeed("jobs", "show", first, **env)
    second = succeed("embedder", "switch", "--detach", **env).strip()
    assert second != first
    assert "Embedder: onnx:tiny@" in succeed("embedder", "switch", **env)
    assert "succeeded" in succeed("jobs", "show", second, **env)
    assert "exclude" in refusal("embedder", "switch", "--sync", "--detach", **env)[1]


def test_what_cannot_be_switched_is_refused_in_one_line(
    database_url: str, site: Site, folder: Path
) -> None:
    env = {"DATABASE_URL": database_url}
    assert "no documents" in refusal("embedder", "switch", **env)[1]
    succeed("ingest", folder, **env)
    assert f"Known: {HASHING}" in refusal("embedder", "switch", "nothing", **env)[1]
    assert succeed("embedder", "switch", "--stop", **env) == "No switch is under way.\n"


def test_a_folder_that_is_none_stops_the_start_with_the_remedy(
    database_url: str, tmp_path: Path
) -> None:
    env = {"SITEBROOK_EMBEDDING_FOLDER": str(tmp_path), "DATABASE_URL": database_url}
    _, line = refusal("embedder", "list", **env)
    assert "sitebrook embedder export" in line


@pytest.mark.skipif("torch" in sys.modules, reason="the extra 'export' is installed")
def test_exporting_without_its_packages_names_the_extra(tmp_path: Path, model: Path) -> None:
    _, line = refusal("embedder", "export", model, tmp_path / "out")
    assert "pip install 'sitebrook[export]'" in line
    assert not (tmp_path / "out").exists()
    _, line = refusal("embedder", "export", "no-such-package", tmp_path / "out")
    assert "neither a folder" in line
    _, line = refusal("embedder", "export", model, model)
    assert "is not empty" in line


async def test_a_killed_switch_goes_on_where_it_was(
    database_url: str, database: Database, site: Site, tmp_path: Path, model: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    sentence = " ".join(WORDS[2:]) + ". "
    for number in range(12):
        text_ = "".join(f"## Part {at} of {number}\n\n{sentence * 12}\n\n" for at in range(60))
        (folder / f"{number}.md").write_text(text_, "utf-8")
    succeed("ingest", folder, DATABASE_URL=to_libpq(database_url))
    env = {"DATABASE_URL": database_url, "SITEBROOK_EMBEDDING_FOLDER": str(model), **_QUICK}
    counted = text("SELECT count(*), count(*) FILTER (WHERE embedder LIKE 'onnx:%') FROM embedding")

    async def count() -> tuple[int, int]:
        async with database.begin() as connection:
            row = (await connection.execute(counted)).one()
            return row[0] - row[1], row[1]

    chunks, _ = await count()
    assert chunks > 700
    kills = 0
    for _ in range(2):
        with started("embedder", "switch", **env) as process:
            assert process.stderr is not None
            os.set_blocking(process.stderr.fileno(), True)
            for _ in range(2):  # what there is already, and one batch more
                if not process.stderr.readline():
                    break
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            wait_until(lambda: process.poll() is not None)
        old, new = await count()
        if new == chunks:
            break
        assert old == chunks
    assert kills
    wait_until(lambda: run("embedder", "switch", **env).returncode == 0)
    assert await count() == (0, chunks)
