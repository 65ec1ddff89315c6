from __future__ import annotations

import pytest

from sitebrook.errors import InvalidRequest
from sitebrook.evaluation import tuning
from sitebrook.evaluation.tuning import Tuning, check_questions, tune
from sitebrook.retrieval.fusion import FusedChunk

QUESTIONS = [f"q{number}" for number in range(40)]
RELEVANT = {name: {"right": 1} for name in QUESTIONS}
RIGHT_FIRST = {name: ["right"] for name in QUESTIONS}
DOCUMENTS = {"chunk_1": "right", "chunk_2": "wrong", "chunk_3": "other"}


def make_candidates(**scores: tuple[float, float]) -> list[FusedChunk]:
    """Chunks with their scores by keywords and by vectors."""
    return [
        FusedChunk(name, 0, 0, by_keyword, 1, 0, by_vector, 1)
        for name, (by_keyword, by_vector) in scores.items()
    ]


def tune_alike(**scores: tuple[float, float]) -> Tuning:
    candidates = {name: make_candidates(**scores) for name in QUESTIONS}
    wrong_first = {name: ["wrong", "right"] for name in QUESTIONS}
    return tune(RELEVANT, candidates, DOCUMENTS, wrong_first)


def test_the_weight_is_the_middle_of_those_that_do_best() -> None:
    # The right one leads as soon as (1 - w) * 0.5 + w > (1 - w), that is from a third on.
    found = tune_alike(chunk_1=(5.0, 0.9), chunk_2=(10.0, 0.1), chunk_3=(0.0, 0.1))
    assert found.weight == pytest.approx(0.7)
    assert found.curve[0.3] < found.curve[0.35] == found.curve[1.0] == 1.0
    assert found.reached == found.held_out == 1.0
    assert found.by_rule < 1
    assert found.is_better


def test_a_weight_that_brings_nothing_is_not_better() -> None:
    candidates = {name: make_candidates(chunk_1=(1.0, 0.5)) for name in QUESTIONS}
    found = tune(RELEVANT, candidates, DOCUMENTS, RIGHT_FIRST)
    assert set(found.curve.values()) == {1.0}
    assert not found.is_better


def test_a_weight_that_suits_one_half_of_the_questions_alone_is_not_better() -> None:
    by_half = (
        make_candidates(chunk_1=(1.0, 0.0), chunk_2=(0.0, 1.0), chunk_3=(0.0, 0.0)),
        make_candidates(chunk_1=(0.0, 1.0), chunk_2=(1.0, 0.0), chunk_3=(0.0, 0.0)),
    )
    candidates = {name: by_half[tuning._half(name)] for name in QUESTIONS}
    found = tune(RELEVANT, candidates, DOCUMENTS, RIGHT_FIRST)
    assert found.held_out < found.reached < found.by_rule
    assert not found.is_better


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="judge at least 30"):
        check_questions({name: {"a": 1} for name in QUESTIONS[:29]})
    check_questions({name: {"a": 1} for name in QUESTIONS[:30]})
