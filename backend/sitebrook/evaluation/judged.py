"""Judged questions: what is asked, and which documents answer it."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from sitebrook.errors import InvalidRequest

CORPUS: Final = "corpus.jsonl"
QUESTIONS: Final = "queries.jsonl"
JUDGEMENTS: Final = "qrels.tsv"
_COLUMNS: Final = 3
_TREC_COLUMNS: Final = 4


@dataclass(frozen=True, slots=True)
class JudgedDocument:
    """A document of a set; a set may have none, where it judges those of a site."""

    id: str
    title: str
    text: str
    url: str | None


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """Questions by id, and for each the names of the documents that answer it, with their grade.

    ``place`` tells sets of one name apart.
    """

    name: str
    documents: tuple[JudgedDocument, ...]
    questions: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]
    place: str = ""


def read_set(folder: Path) -> JudgedSet:
    """The set in a folder: ``corpus.jsonl`` (may be missing), ``queries.jsonl``, ``qrels.tsv``.

    A question without a relevant document is left out. Raises InvalidRequest for what cannot be
    read, and for judgements of documents that the corpus does not have.
    """
    questions = _read_questions(folder / QUESTIONS)
    relevant: dict[str, dict[str, int]] = {}
    for question, document, grade in _judgements(folder / JUDGEMENTS, questions):
        if grade > 0 and question in questions:
            relevant.setdefault(question, {})[document] = grade
    if not relevant:
        raise InvalidRequest(f"{folder / JUDGEMENTS} judges none of the questions beside it.")
    documents = _read_corpus(folder / CORPUS)
    ids = {document.id for document in documents}
    missing = {one for found in relevant.values() for one in found} - ids if ids else None
    if missing:
        raise InvalidRequest(
            f"{folder / JUDGEMENTS} judges '{min(missing)}', which {CORPUS} does not have."
        )
    place = folder.resolve()
    asked = {name: questions[name] for name in relevant}
    return JudgedSet(place.name, documents, asked, relevant, str(place))


def _read_questions(file: Path) -> dict[str, str]:
    questions: dict[str, str] = {}
    for row in _rows(file):
        name = _field(row, "id")
        if name in questions:
            raise InvalidRequest(f"{file} has the question '{name}' twice; each needs its own id.")
        questions[name] = _field(row, "text")
    return questions


def _read_corpus(file: Path) -> tuple[JudgedDocument, ...]:
    if not file.exists():
        return ()
    return tuple(
        JudgedDocument(
            id=_field(row, "id"),
            title=str(row.get("title") or ""),
            text=_field(row, "text"),
            url=None if row.get("url") is None else str(row["url"]),
        )
        for row in _rows(file)
    )


def write_set(folder: Path, judged: JudgedSet) -> None:
    """Writes questions and judgements; files that are there are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    questions = [{"id": name, "text": text} for name, text in judged.questions.items()]
    lines = [json.dumps(row, ensure_ascii=False) for row in questions]
    (folder / QUESTIONS).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    judgements = [
        f"{question}\t{document}\t{grade}\n"
        for question, documents in judged.relevant.items()
        for document, grade in documents.items()
    ]
    (folder / JUDGEMENTS).write_text("".join(judgements), "utf-8")


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_read_lines(file), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise InvalidRequest(f"{file}, line {number}, is no JSON.") from None
        if not isinstance(row, dict):
            raise InvalidRequest(f"{file}, line {number}, is no JSON object.")
        yield cast("dict[str, Any]", row)


def _field(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name, row.get("_id") if name == "id" else None)
    if not isinstance(value, str | int):
        raise InvalidRequest(f"Each line of a set needs a field '{name}'; one has {sorted(row)}.")
    return str(value)


def _judgements(file: Path, questions: Container[str]) -> Iterator[tuple[str, str, int]]:
    """Question, document and grade of each line: three columns, or the four of TREC.

    The first line may be a heading, unless it names one of the questions.
    """
    for number, line in enumerate(_read_lines(file), start=1):
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) == _TREC_COLUMNS:
            del columns[1]
        if not line.strip():
            continue
        if len(columns) < _COLUMNS:
            if number == 1:
                continue
            raise InvalidRequest(f"{file}, line {number}, is not question, document and grade.")
        question, document, grade = columns[:_COLUMNS]
        try:
            yield question, document, int(float(grade))
        except (ValueError, OverflowError):
            if number > 1 or question in questions:  # else it is a heading
                raise InvalidRequest(
                    f"{file}, line {number}: the grade '{grade.strip()}' is no number; 1 says that "
                    f"the document answers the question, 0 that it does not."
                ) from None


def _read_lines(file: Path) -> list[str]:
    try:
        # Not ``splitlines``: JSON may hold U+0085, U+2028 and others at which that cuts.
        return file.read_text("utf-8").split("\n")
    except FileNotFoundError:
        raise InvalidRequest(
            f"There is no {file}. A folder of judged questions has {QUESTIONS} and {JUDGEMENTS}, "
            f"and {CORPUS} unless it judges the documents of a site."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file} cannot be read: {error}.") from None
