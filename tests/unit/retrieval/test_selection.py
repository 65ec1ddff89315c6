from __future__ import annotations

import pytest

from sitebrook.retrieval.fusion import FusedChunk
from sitebrook.retrieval.passages import Passage
from sitebrook.retrieval.selection import choose


def make_passage(name: str, score: float, text: str | None = None, document: str = "") -> Passage:
    words = " ".join(f"{name}{at}" for at in range(20))
    return Passage(
        chunk_id=name,
        document_id=document or f"doc-{name}",
        version=1,
        position=0,
        title="Title",
        url=None,
        headings=(),
        text=words if text is None else text,
        language="en",
        score=score,
        fused=FusedChunk(name, score, score, 1.0, 1, 0.0, None, None),
        weight=0.0,
    )


def names(passages: tuple[Passage, ...]) -> list[str]:
    return [one.chunk_id for one in passages]


def test_the_best_are_taken_and_each_other_one_is_told_why_not() -> None:
    passages = [make_passage(name, 0.9 - at / 10) for at, name in enumerate("abcde")]
    chosen = choose(passages, 2, 0.65)
    assert names(chosen.chosen) == ["a", "b"]
    reasons = {"c": "limit reached", "d": "score too low", "e": "score too low"}
    assert chosen.left_out == reasons


@pytest.mark.parametrize(
    "repeated",
    [
        "One two three four five six seven eight nine ten.",
        "one  TWO three four\nfive six seven eight nine ten.",
        "One two three four five six seven eight nine ten. And twelve.",
        "four five six seven eight",
    ],
)
def test_what_says_the_same_as_a_better_one_is_left_out(repeated: str) -> None:
    text = "One two three four five six seven eight nine ten."
    passages = [make_passage("a", 0.9, text), make_passage("b", 0.8, repeated)]
    assert names(choose(passages, 5, 0).chosen) == ["a"]


def test_chunks_that_overlap_and_short_texts_that_differ_both_stay() -> None:
    words = [f"w{at}" for at in range(40)]
    passages = [
        make_passage("a", 0.9, " ".join(words[:24])),
        make_passage("b", 0.8, " ".join(words[16:])),
        make_passage("c", 0.7, "yes"),
        make_passage("d", 0.6, "no"),
        make_passage("e", 0.5, ""),
    ]
    assert names(choose(passages, 9, 0).chosen) == ["a", "b", "c", "d", "e"]


def test_one_document_has_two_fifths_unless_others_are_missing() -> None:
    mine = [make_passage(f"m{at}", 0.9 - at / 100, document="m") for at in range(6)]
    others = [make_passage(f"o{at}", 0.5 - at / 100) for at in range(4)]
    found = choose([*mine, *others], 6, 0)
    assert names(found.chosen) == ["m0", "m1", "o0", "o1", "o2", "o3"]
    assert found.left_out["m2"] == "enough of its document"
    assert names(choose([*mine, *others[:2]], 6, 0).chosen) == ["m0", "m1", "m2", "m3", "o0", "o1"]
    assert names(choose([*mine, *others], 1, 0).chosen) == ["m0"]
    assert names(choose([], 3, 0).chosen) == []
