"""``sitebrook eval``: judged questions of a folder, of the site's documents, of conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.commands import refusal, run, run_on_terminal, succeed
from tests.integration.start.installation import Installation, new_installation

from sitebrook.access.sites import Site

_SUBJECTS = [
    ("anvils", "forged of iron"),
    ("bells", "cast in bronze"),
    ("candles", "made of beeswax"),
    ("drums", "covered with goatskin"),
    ("easels", "built of beech"),
    ("flutes", "carved from elder"),
]


@pytest.fixture
def installation() -> Iterator[Installation]:
    with new_installation() as installation:
        yield installation


def write_lines(file: Path, *rows: dict[str, str]) -> None:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """Thirty questions about six documents, which are called by the names of files."""
    folder = tmp_path / "judged"
    folder.mkdir()
    asked = [
        (f"q{at}-{number}", form.format(name), f"{name}.md")
        for at, (name, _) in enumerate(_SUBJECTS)
        for number, form in enumerate(
            ["What are {} like?", "How are {} made", "{}", "tell me about {}", "old {}"]
        )
    ]
    write_lines(folder / "queries.jsonl", *({"id": one, "text": text} for one, text, _ in asked))
    qrels = "".join(f"{one}\t{document}\t1\n" for one, _, document in asked)
    (folder / "qrels.tsv").write_text(qrels, "utf-8")
    return folder


@pytest.fixture
def with_corpus(judged: Path) -> Path:
    rows = ({"id": f"{name}.md", "text": f"All {name} are {how}."} for name, how in _SUBJECTS)
    write_lines(judged / "corpus.jsonl", *rows)
    return judged


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, how in _SUBJECTS:
        (folder / f"{name}.md").write_text(f"# {name.title()}\n\nAll {name} are {how}.\n", "utf-8")
    return folder


def test_a_set_with_documents_needs_no_site_and_leaves_the_database_alone(
    installation: Installation, database_url: str, with_corpus: Path
) -> None:
    env = {**installation.env, "DATABASE_URL": database_url}
    shown = succeed("eval", with_corpus, **env)
    lines = shown.splitlines()
    assert lines[0] == "judged: 6 documents in 6 chunks, 30 questions"
    assert " ".join(lines[2].split()) == "nDCG@10 recall@5 recall@10 MRR@10 without result"
    assert [line.rpartition("  ")[0].split("  ")[0] for line in lines[3:8]] == [
        "keywords",
        "vectors",
        "both",
        "rank-bm25 on split words",
        "the same, vectors, RRF 60",
    ]
    assert lines[5].split() == ["both", "1.000", "1.000", "1.000", "1.000", "0"]
    assert "Milliseconds, median / 95th percentile: " in shown
    assert succeed("site", "list", DATABASE_URL=database_url).splitlines()[1:] == []
    # The second time what is unchanged is there already, and a terminal shows how far it is.
    status, _ = run_on_terminal("eval", with_corpus, "--bar", "ndcg@10=0.99", **env)
    assert status == 0
    found: dict[str, Any] = json.loads(succeed("eval", with_corpus, "--json", "--tune", **env))
    assert found["measures"]["both"]["ndcg@10"] == 1.0
    assert found["tuning"]["reached"] == 1.0
    assert Installation(installation.data_dir / "evaluation", 0).postmaster() is None


def test_a_measure_below_its_bar_ends_with_3(
    database_url: str, site: Site, documents: Path, judged: Path
) -> None:
    env = {"DATABASE_URL": database_url}
    succeed("ingest", documents, **env)
    assert run("eval", judged, "--bar", "ndcg@10=0.9", "--bar", "mrr@10=1", **env).returncode == 0
    (documents / "bells.md").unlink()
    succeed("ingest", documents, "--prune", **env)
    done = run("eval", judged, "--bar", "ndcg@10=0.9", "--bar", "recall@5=0.5", **env)
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["Below the bar: ndcg@10 is 0.833, not 0.9."]
    assert "1 judged documents are not among them and count as not found: bells.md\n" in done.stdout
    (judged / "qrels.tsv").write_text("q0-0\tother.md\t1\n", "utf-8")
    status, message = refusal("eval", judged, **env)
    assert status == 1
    assert "has none of the 1 judged documents: the set says 'other.md'" in message


def test_a_weight_that_is_no_better_is_not_saved(
    database_url: str, site: Site, documents: Path, judged: Path
) -> None:
    env = {"DATABASE_URL": database_url}
    succeed("ingest", documents, **env)
    shown = succeed("eval", judged, "--tune", "--save", **env)
    assert "Best weight of the vectors: " in shown
    assert "No weight can be expected to do better" in shown
    assert "vectors 0.15 (the embedder's own)" in succeed("search", "bells", "--explain", **env)


def test_what_makes_no_sense_together_is_refused_in_one_line(
    database_url: str, site: Site, with_corpus: Path, tmp_path: Path
) -> None:
    env = {"DATABASE_URL": database_url}
    assert "corpus.jsonl" in refusal("eval", with_corpus, "--tune", "--save", **env)[1]
    assert "needs the FOLDER" in refusal("eval", "--collect", **env)[1]
    assert "There is no" in refusal("eval", tmp_path / "nothing", **env)[1]
    assert "No conversation of the site" in refusal("eval", **env)[1]
