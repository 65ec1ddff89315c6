from __future__ import annotations

from pathlib import Path

import pytest

from sitebrook.errors import InvalidRequest
from sitebrook.evaluation.judged import JudgedSet, read_set, write_set


def make_folder(folder: Path, **files: str) -> Path:
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels.tsv"}
    for name, text in files.items():
        (folder / names[name]).write_text(text, "utf-8")
    return folder


QUERIES = '{"id": "q1", "text": "What does it cost?"}\n\n{"_id": 2, "text": "Quando apre?"}\n'


def test_a_folder_is_read_with_the_questions_that_somebody_judged(tmp_path: Path) -> None:
    corpus = (
        '{"id": "a", "title": "Prices", "text": "Twelve", "url": "https://example.com/a"}\n'
        '{"id": "b", "text": "At seven"}\n'
    )
    qrels = "query-id\tdoc\tgrade\nq1\ta\t2\nq1\tb\t0\nq9\ta\t1\n2\tb\t1\n"
    found = read_set(make_folder(tmp_path, corpus=corpus, queries=QUERIES, qrels=qrels))
    assert found.questions == {"q1": "What does it cost?", "2": "Quando apre?"}
    assert found.relevant == {"q1": {"a": 2}, "2": {"b": 1}}
    first, second = found.documents
    assert (first.id, first.title, first.url) == ("a", "Prices", "https://example.com/a")
    assert (second.title, second.url) == ("", None)
    assert found.name == tmp_path.name


def test_the_judgements_may_be_those_of_trec(tmp_path: Path) -> None:
    found = read_set(make_folder(tmp_path, queries=QUERIES, qrels="q1 0 a 1\n2 Q0 b 0\n"))
    assert found.relevant == {"q1": {"a": 1}}
    assert list(found.questions) == ["q1"]
    assert found.documents == ()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "There is no"),
        ({"queries": QUERIES}, "A folder of judged questions has"),
        ({"queries": "not JSON\n", "qrels": ""}, "line 1, is no JSON"),
        ({"queries": "[]\n", "qrels": ""}, "is no JSON object"),
        ({"queries": '{"id": "q1"}\n', "qrels": ""}, "needs a field 'text'"),
        ({"queries": QUERIES, "qrels": "q9\ta\t1\n"}, "judges none of the questions"),
        ({"queries": QUERIES, "qrels": "q1\ta\t1\nq1\ta\n"}, "line 2, is not question"),
        ({"queries": QUERIES, "qrels": "q1\ta\tfoo\n"}, "line 1: the grade 'foo' is no number"),
        ({"queries": QUERIES, "qrels": "id\td\tg\nq1\ta\tinf\n"}, "line 2: the grade 'inf'"),
        ({"queries": QUERIES + QUERIES, "qrels": "q1\ta\t1\n"}, "the question 'q1' twice"),
        (
            {"queries": QUERIES, "qrels": "q1\tc\t1\n", "corpus": '{"id": "a", "text": ""}'},
            "judges 'c', which corpus.jsonl does not have",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, files: dict[str, str], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        read_set(make_folder(tmp_path, **files))


@pytest.mark.parametrize("between", ["\n", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_a_written_set_is_read_as_it_was(tmp_path: Path, between: str) -> None:
    source = f"/docs/a{'' if between.isascii() else between} b.md"
    judged = JudgedSet("x", (), {"q1": f"Wie spät?{between}Genau?"}, {"q1": {source: 1}})
    write_set(tmp_path / "new", judged)
    found = read_set(tmp_path / "new")
    assert (found.questions, found.relevant) == (judged.questions, judged.relevant)
