from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from tests.commands import (
    one_line,
    run,
    run_on_terminal,
    started,
    succeed,
    without_colours,
)

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database
from sitebrook.retrieval.documents import list_documents


async def titles(database: Database, site: Site) -> set[str]:
    page = await list_documents(database, site.id, limit=100)
    return {document.title for document in page.documents}


async def test_a_folder_is_taken_in_with_a_plain_line_for_each_file(
    database_url: str, database: Database, site: Site, folder: Path
) -> None:
    (folder / "logo.png").write_bytes(b"\x89PNG")
    done = run("ingest", folder, DATABASE_URL=database_url)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"[1/2] added: {folder / 'hours.html'}",
        f"[2/2] added: {folder / 'prices.md'}",
    ]
    summary, passed_over = done.stdout.splitlines()
    assert re.fullmatch(r"Documents: 2 \(2 added\), chunks written: 2, \d+\.\d s", summary)
    assert passed_over == "Files of other types passed over: 1"
    assert await titles(database, site) == {"Prices", "Hours"}


async def test_changed_files_replace_unchanged_are_skipped_and_gone_ones_pruned(
    database_url: str, database: Database, site: Site, folder: Path
) -> None:
    url = {"DATABASE_URL": database_url}
    succeed("ingest", folder, **url)
    (folder / "prices.md").write_text("# Prices\n\nA unicorn is free.\n", "utf-8")
    # another working folder, a relative path and a detour name the same files
    done = run("ingest", f"../{folder.name}/.", cwd=folder, **url)
    assert "(1 replaced, 1 unchanged), chunks written: 1," in done.stdout
    assert f"[1/2] unchanged: {folder / 'hours.html'}" in done.stderr
    assert "free" in succeed("search", "What does a unicorn cost?", **url)

    (folder / "prices.md").unlink()
    assert "(1 unchanged)" in succeed("ingest", folder, **url)
    assert await titles(database, site) == {"Prices", "Hours"}
    assert "(1 unchanged, 1 removed)" in succeed("ingest", folder, "--prune", **url)
    assert await titles(database, site) == {"Hours"}


def test_a_refused_file_is_one_line_with_its_reason_and_stops_no_other(
    database_url: str, site: Site, folder: Path
) -> None:
    (folder / "empty.md").write_text("", "utf-8")
    (folder / "binary.txt").write_bytes(bytes(range(256)))
    picture = folder / "logo.png"
    picture.write_bytes(b"\x89PNG")
    done = run("ingest", folder, picture, DATABASE_URL=database_url)
    assert done.returncode == 0
    refused = [line for line in done.stdout.splitlines() if line.startswith("refused: ")]
    reasons = {line.split(": ", 2)[1]: line.split(": ", 2)[2] for line in refused}
    assert set(reasons) == {
        str(path) for path in (folder / "empty.md", folder / "binary.txt", picture)
    }
    assert "a picture" in reasons[str(picture)]
    assert all(reasons.values())
    assert "Documents: 2 (2 added, 3 refused)" in done.stdout


def test_a_missing_path_is_a_failure_that_stops_no_other(
    database_url: str, site: Site, folder: Path
) -> None:
    missing = folder / "none.md"
    for way in ((), ("--sync",)):
        done = run("ingest", missing, folder, *way, DATABASE_URL=database_url)
        assert done.returncode == 1
        refused, summary = done.stdout.splitlines()
        assert refused == f"refused: {missing}: there is no such file or folder"
        assert summary.startswith("Documents: 2 (2 ")
        assert "1 refused" in summary


def test_a_detached_ingest_sends_no_missing_path_and_says_when_no_worker_is_there(
    database_url: str, site: Site, folder: Path
) -> None:
    url = {"DATABASE_URL": database_url}
    refusal = f"refused: {folder / 'none.md'}: there is no such file or folder"
    done = run("ingest", folder / "none.md", "--detach", **url)
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (1, "", [refusal])
    assert len(succeed("jobs", "list", **url).splitlines()) == 1

    done = run("ingest", folder / "none.md", folder, "--detach", **url)
    assert done.returncode == 1
    [job_id] = done.stdout.split()
    assert done.stderr.splitlines()[0] == refusal
    assert done.stderr.splitlines()[-1] == (
        "Nothing runs jobs now. Start `sitebrook serve`, or `sitebrook worker` where that runs "
        "no jobs."
    )
    assert json.loads(succeed("jobs", "show", job_id, **url))["arguments"]["files"] == 2


def test_nothing_but_refused_files_is_a_failure(database_url: str, site: Site) -> None:
    done = run("ingest", "/nowhere/at/all", "https:/example.com", DATABASE_URL=database_url)
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == [
        "refused: /nowhere/at/all: there is no such file or folder",
        "refused: https:/example.com: it is no file; a website's address begins with http:// or"
        " https://",
    ]


def test_a_folder_without_documents_is_said_to_be_one(
    database_url: str, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    done = run("ingest", tmp_path, DATABASE_URL=database_url)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == [
        "Files of other types passed over: 1",
        "No file of a kind that can be read was found there.",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(
    database_url: str, site: Site, folder: Path
) -> None:
    (folder / "prices.md").chmod(0)
    done = run("ingest", folder, DATABASE_URL=database_url)
    assert f"refused: {folder / 'prices.md'}: Permission denied" in done.stdout


def test_a_terminal_shows_a_bar_and_then_only_the_summary(
    database_url: str, site: Site, folder: Path
) -> None:
    code, written = run_on_terminal("ingest", folder, DATABASE_URL=database_url)
    assert code == 0
    assert "━" in written
    assert "2/2" in without_colours(written)
    assert "[1/2]" not in written
    assert without_colours(written).rstrip().splitlines()[-1].startswith("Documents: 2 (2 added)")


async def test_ctrl_c_ends_an_ingest_with_whole_documents_and_no_traceback(
    database_url: str, database: Database, site: Site, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        text = f"# Page {number}\n\n" + f"Paragraph of page {number}. " * 200
        (many / f"{number:03}.md").write_text(text, "utf-8")
    with started("ingest", many, DATABASE_URL=database_url) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"[1/300] added: ")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().decode()
        assert process.wait(30) == 130
    assert "Traceback" not in rest
    assert "[300/300]" not in rest
    assert 1 <= len(await titles(database, site)) < 300


def test_no_site_is_one_line(database_url: str, folder: Path) -> None:
    done = run("ingest", folder, DATABASE_URL=database_url)
    assert done.returncode == 1
    assert one_line(done.stderr) == (
        "sitebrook: There is no site yet; make one with `sitebrook site create NAME`."
    )
