from __future__ import annotations

import pytest

from sitebrook.retrieval.fusion import Leg, fuse, fuse_by_rank, is_relevant, vector_weight


def test_scores_are_scaled_over_the_union_and_weighed() -> None:
    keywords = Leg(["a", "b"], {"a": 10.0, "b": 5.0, "c": 0.0})
    vectors = Leg(["c", "a"], {"a": 0.4, "b": 0.2, "c": 0.6})
    fused = {found.chunk_id: found for found in fuse(keywords, vectors, 0.25)}
    assert fused["a"].score == pytest.approx(0.75 * 1 + 0.25 * 0.5)
    assert fused["b"].score == pytest.approx(0.75 * 0.5 + 0.25 * 0)
    assert fused["c"].score == pytest.approx(0.75 * 0 + 0.25 * 1)
    assert (fused["a"].keyword_part, fused["a"].vector_part) == pytest.approx((0.75, 0.125))
    assert (fused["b"].keyword_rank, fused["b"].vector_rank) == (2, None)
    assert (fused["c"].keyword_rank, fused["c"].vector_rank) == (None, 1)
    assert (fused["c"].keyword_score, fused["c"].vector_score) == (0.0, 0.6)


def test_the_best_comes_first_and_equals_have_a_fixed_order() -> None:
    leg = Leg(["b", "a", "c"], {"a": 1.0, "b": 1.0, "c": 0.5})
    assert [found.chunk_id for found in fuse(leg, None, 0.9)] == ["a", "b", "c"]


def test_without_vectors_keywords_decide_alone() -> None:
    fused = fuse(Leg(["a", "b"], {"a": 2.0, "b": 1.0}), None, 0.5)
    assert [(found.chunk_id, found.score) for found in fused] == [("a", 1.0), ("b", 0.0)]
    assert fused[0].vector_score is None


def test_a_single_candidate_counts_fully_and_none_is_no_error() -> None:
    assert fuse(Leg(["a"], {"a": 3.0}), None, 0)[0].score == 1.0
    assert fuse(Leg([], {}), Leg([], {}), 0.5) == []


@pytest.mark.parametrize(
    ("coverage", "site", "embedder", "covers", "expected", "reason"),
    [
        (1.0, None, None, True, 0.4, "coverage"),
        (0.0, None, None, True, 0.9, "coverage"),
        (0.5, None, None, False, 0.2, "language"),
        (0.5, None, 0.15, True, 0.15, "embedder"),
        (0.5, 0.8, 0.15, False, 0.8, "site"),
    ],
)
def test_the_weight_falls_as_keywords_cover_the_question(
    coverage: float,
    site: float | None,
    embedder: float | None,
    covers: bool,
    expected: float,
    reason: str,
) -> None:
    weight = vector_weight(coverage, site, embedder, covers_language=covers)
    assert (weight.alpha, weight.reason) == (pytest.approx(expected), reason)


def test_ranks_alone_give_what_reciprocal_rank_fusion_gives() -> None:
    keywords = Leg(["a", "b", "c"], {"a": 9.0, "b": 3.0, "c": 1.0})
    vectors = Leg(["c", "a"], {"c": 0.9, "a": 0.1})
    fused = fuse_by_rank(keywords, vectors)
    sums = {"a": 1 / 61 + 1 / 62, "b": 1 / 62, "c": 1 / 63 + 1 / 61}
    assert [one.chunk_id for one in fused] == sorted(sums, key=lambda one: -sums[one])
    scale = 61 / 2
    assert {one.chunk_id: one.score / scale for one in fused} == pytest.approx(sums)
    assert fused[0].keyword_part + fused[0].vector_part == pytest.approx(fused[0].score)
    assert fuse_by_rank(Leg(["a"], {"a": 1.0}), None)[0].score == pytest.approx(1)


@pytest.mark.parametrize(
    ("evidence", "cosine", "floor", "expected"),
    [
        (0.0, None, None, False),
        (0.5, None, None, True),
        (0.0, 0.2, None, False),
        (0.5, 0.3, None, True),
        (0.0, 0.5, 0.3, True),
        (0.1, 0.2, 0.3, False),
        (0.9, 0.2, 0.3, True),
    ],
)
def test_relevance_needs_words_of_the_question_or_a_like_meaning(
    evidence: float, cosine: float | None, floor: float | None, expected: bool
) -> None:
    assert is_relevant(evidence, cosine, floor) is expected
