from __future__ import annotations

import itertools
import random

import pytest

from sitebrook.ingestion.chunks import Chunk, SizesInCharacters, document_language, to_chunks
from sitebrook.ingestion.loaders import RawDocument, load

SIZES = SizesInCharacters(800, 160)
SENTENCE = "The walrus number {} swims slowly through the cold northern sea at night. "


def cut(content: str, source: str = "a.md") -> tuple[Chunk, ...]:
    loaded = load(RawDocument(source, content), max_characters=1_000_000)
    return to_chunks(loaded, SIZES, "en")


def test_each_chunk_stays_in_its_section_and_knows_its_headings() -> None:
    body = SENTENCE.format(1) * 4
    chunks = cut(f"# T\n\n{body}\n\n## One\n\n{body}\n\n### Deep\n\n{body}\n\n## Two\n\n{body}")
    assert [chunk.headings for chunk in chunks] == [(), ("One",), ("One", "Deep"), ("Two",)]


def test_long_sections_are_cut_between_sentences_with_overlap() -> None:
    chunks = cut("".join(SENTENCE.format(at) for at in range(60)))
    assert len(chunks) > 5
    for before, after in itertools.pairwise(chunks):
        assert 400 < len(before.text) <= SIZES.characters
        assert before.text.endswith(".")
        first = after.text.split(". ")[0]
        assert first in before.text
    whole = " ".join(chunk.text for chunk in chunks)
    assert all(f"number {at} swims" in whole for at in range(60))


def test_words_are_never_cut() -> None:
    chance = random.Random(3)
    letters = "abcdefgh\u1ebf\u1edb"
    words = ["".join(chance.choices(letters, k=chance.randint(1, 15))) for _ in range(2000)]
    chunks = cut(" ".join(words))
    known = set(words)
    assert all(word in known for chunk in chunks for word in chunk.text.split())


@pytest.mark.parametrize("content", ["x" * 5000, "汉字" * 2000, "a\n" * 3000])
def test_text_without_places_to_cut_is_cut_by_size(content: str) -> None:
    chunks = cut(content, "a.txt")
    assert all(len(chunk.text) <= SIZES.characters * 1.25 for chunk in chunks)
    assert len(chunks) > 1


def test_code_and_tables_up_to_one_and_a_half_sizes_stay_whole() -> None:
    code = "```py\n" + "\n".join(f"line_{at} = compute({at}, {at})" for at in range(42)) + "\n```"
    assert 1000 < len(code) <= 1200
    before = SENTENCE.format(1) * 8
    chunks = cut(f"{before}\n\n{code}\n\nAfter the code.")
    assert sum(code in chunk.text for chunk in chunks) == 1
    assert all(len(chunk.text) <= 1200 for chunk in chunks)


def test_tiny_sections_are_joined_with_their_siblings() -> None:
    chunks = cut("# T\n\n## FAQ\n\n### A?\n\nYes.\n\n### B?\n\nNo.\n\n### C?\n\nPerhaps.")
    assert [chunk.headings for chunk in chunks] == [("FAQ",)]
    assert chunks[0].text == "A?\n\nYes.\n\nB?\n\nNo.\n\nC?\n\nPerhaps."


def test_a_chunk_in_another_language_says_so() -> None:
    english = SENTENCE.format(1) * 6
    italian = "Il tricheco nuota lentamente nel mare freddo del nord durante la notte. " * 6
    chunks = cut(f"# T\n\n## English\n\n{english}\n\n## Italiano\n\n{italian}")
    assert [chunk.language for chunk in chunks] == ["en", "it"]


def test_code_does_not_decide_the_language() -> None:
    page = "```\n" + "für = der + die + das + und\n" * 20 + "```\n\n" + SENTENCE.format(2) * 3
    loaded = load(RawDocument("a.md", page), max_characters=10_000)
    assert document_language(loaded, "it") == "en"


def test_each_piece_of_a_large_table_begins_with_its_header() -> None:
    rows = [f"| item {at} | {at} euro, with a longer remark about it |" for at in range(60)]
    header = "| item | price |\n|---|---|"
    chunks = cut(f"Before.\n\n{header}\n" + "\n".join(rows))
    assert len(chunks) > 3
    assert all(header in chunk.text for chunk in chunks)
    assert all(chunk.text.startswith(header) for chunk in chunks[1:])
    said = "\n".join(chunk.text for chunk in chunks)
    assert all(said.count(row) == 1 for row in rows)


def test_large_code_is_cut_between_lines_and_fenced_in_each_chunk() -> None:
    lines = [f"    result_{at} = compute_something_longer({at})" for at in range(90)]
    chunks = cut("Before.\n\n```py\n" + "\n".join(lines) + "\n```\n\nAfter.")
    assert len(chunks) > 3
    said = "\n".join(chunk.text for chunk in chunks)
    assert all(said.count(f"{line}\n") == 1 for line in lines)
    for chunk in chunks:
        assert chunk.text.count("```") in {2, 4}
        assert len(chunk.text) <= 1200


def test_a_line_of_code_without_an_end_is_cut_by_size() -> None:
    chunks = cut("```\n" + "x" * 10_000 + "\n```")
    assert all(len(chunk.text) <= 1200 for chunk in chunks)
    assert sum(chunk.text.count("x") for chunk in chunks) == 10_000


def test_a_small_rest_stays_with_the_chunk_before_it() -> None:
    chunks = cut("".join(SENTENCE.format(at) for at in range(12)))
    assert len(chunks) == 1
    assert 800 < len(chunks[0].text) <= 1000
