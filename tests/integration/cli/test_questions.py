from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.commands import refusal, started, succeed

from sitebrook.access.sites import Site

QUESTION = "What does a unicorn cost?"


def test_an_answer_comes_piece_by_piece_and_its_sources_after_it(
    database_url: str, site: Site, folder: Path, slow_mock: str
) -> None:
    succeed("ingest", folder, DATABASE_URL=database_url)
    env = {"DATABASE_URL": database_url, "SITEBROOK_CONFIG": slow_mock}
    pieces: list[tuple[float, bytes]] = []
    with started("ask", QUESTION, **env) as process:
        assert process.stdout is not None
        while part := os.read(process.stdout.fileno(), 65536):
            pieces.append((time.monotonic(), part))
        assert process.wait(30) == 0
    assert len(pieces) > 3
    assert pieces[-1][0] - pieces[0][0] > 0.5
    answer, sources = b"".join(part for _, part in pieces).decode().split("\n\nSources\n")
    assert "4711 ducats" in answer
    assert "[1]" in answer
    first, link = sources.splitlines()[:2]
    assert first.startswith("[1] Prices")
    assert link.strip().startswith("http://127.0.0.1:8000/sources/doc_")


def test_a_question_that_no_document_answers_has_no_sources(
    database_url: str, site: Site, folder: Path
) -> None:
    succeed("ingest", folder, DATABASE_URL=database_url)
    said = succeed("ask", "Wer gewann 1954 in Bern?", DATABASE_URL=database_url)
    assert "Sources" not in said
    assert said.strip()


def test_ctrl_c_ends_an_answer_without_a_traceback(
    database_url: str, site: Site, folder: Path, slow_mock: str
) -> None:
    succeed("ingest", folder, DATABASE_URL=database_url)
    env = {"DATABASE_URL": database_url, "SITEBROOK_CONFIG": slow_mock}
    with started("ask", QUESTION, **env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert os.read(process.stdout.fileno(), 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read().strip() == b""


def test_search_shows_passages_best_first(database_url: str, site: Site, folder: Path) -> None:
    url = {"DATABASE_URL": database_url}
    assert succeed("search", QUESTION, **url) == "No passage fits this question.\n"
    succeed("ingest", folder, **url)
    first, text = succeed("search", QUESTION, "--limit", "1", **url).splitlines()[:2]
    assert first.startswith("1. ")
    assert "Prices" in first
    assert text.strip() == "A unicorn costs 4711 ducats a year."


def test_an_explained_search_shows_the_words_and_each_candidate_s_parts(
    database_url: str, site: Site, folder: Path
) -> None:
    url = {"DATABASE_URL": database_url}
    succeed("ingest", folder, **url)
    said = succeed("search", QUESTION, "--explain", "--limit", "1", **url)
    assert "Question    coverage " in said
    assert "weight of the vectors 0.15 (the embedder's own)" in said
    assert "unicorn" in said
    assert "(function word)" in said
    assert " = " in said.split("Candidates: ")[1]
    assert "rank 1" in said


def test_an_explained_search_shows_what_was_made_of_the_question_before(
    database_url: str, site: Site, folder: Path
) -> None:
    url = {"DATABASE_URL": database_url}
    succeed("ingest", folder, **url)
    said = succeed("search", "And a year?", "--after", QUESTION, "--explain", **url)
    assert "Searched    unicorn cost: And a year?" in said
    assert "made by the rule: it begins like one that goes on" in said
    said = succeed("search", QUESTION, "--after", "Hello!", "--explain", **url)
    assert "Searched    the question as it is" in said


def test_an_unknown_model_is_one_line(database_url: str, site: Site) -> None:
    code, line = refusal("ask", QUESTION, "--model", "none", DATABASE_URL=database_url)
    assert code == 1
    assert line.startswith("sitebrook: There is no model 'none'")
    code, line = refusal("ask", QUESTION, DATABASE_URL=database_url, SITEBROOK_MODEL="none")
    assert "'none'" in line


def test_a_question_without_words_is_one_line(database_url: str, site: Site) -> None:
    for command in ("ask", "search"):
        refused = refusal(command, "  ", DATABASE_URL=database_url)
        assert refused == (2, "Error: The question is empty.")


def test_a_failing_provider_is_one_line(database_url: str, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text('[[models]]\nid = "broken"\nroute = ["mock/mock-fail-500"]\n', "utf-8")
    env = {"DATABASE_URL": database_url, "SITEBROOK_CONFIG": str(file)}
    code, line = refusal("ask", QUESTION, "--model", "broken", **env)
    assert code == 1
    assert line.startswith("sitebrook: ")


def test_an_answer_that_breaks_off_ends_with_one_line_on_standard_error(
    database_url: str, site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text('[[models]]\nid = "broken"\nroute = ["mock/mock-truncate-2"]\n', "utf-8")
    env = {"DATABASE_URL": database_url, "SITEBROOK_CONFIG": str(file)}
    code, line = refusal("ask", QUESTION, "--model", "broken", **env)
    assert code == 1
    assert line.startswith("sitebrook: ")


def test_a_reader_that_leaves_early_is_no_error(
    database_url: str, site: Site, folder: Path
) -> None:
    succeed("ingest", folder, DATABASE_URL=database_url)
    with started("ask", QUESTION, DATABASE_URL=database_url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert os.read(process.stdout.fileno(), 1)
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(30) in {0, 1, 141}
