from __future__ import annotations

from rank_bm25 import BM25Okapi

from sitebrook.evaluation.baseline import SplitBm25, join_by_rank

TEXTS = [
    "The stable opens at seven in the morning.",
    "A unicorn costs 4711 ducats a year.",
    "Unicorns sleep in the stable.",
    "Ducats are coins.",
]


def test_the_baseline_ranks_as_rank_bm25_does_and_leaves_out_what_shares_no_word() -> None:
    names = ["a", "b", "c", "d"]
    question = "What costs a unicorn a year?"
    scores = BM25Okapi([text.split() for text in TEXTS]).get_scores(question.split())
    expected = sorted((-score, name) for score, name in zip(scores, names, strict=True) if score)
    assert SplitBm25(names, TEXTS).find(question) == [name for _, name in expected]
    assert SplitBm25(names, TEXTS).find("nothing") == []


def test_rankings_are_joined_by_reciprocal_ranks() -> None:
    # a: 1/61 + 1/63, b: 1/62 + 1/61, c: 1/62
    assert join_by_rank(["a", "b"], ["b", "c", "a"]) == ["b", "a", "c"]
    assert join_by_rank([], ["b", "a"]) == ["b", "a"]
