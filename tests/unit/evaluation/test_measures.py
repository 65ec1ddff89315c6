from __future__ import annotations

import math

import pytest

from sitebrook.errors import InvalidRequest
from sitebrook.evaluation.measures import check_bars, measure, measure_ndcg

RELEVANT = {"q1": {"a": 1, "b": 1}, "q2": {"c": 1}, "q3": {"d": 1}}
# The seventh place for q2; nothing for q3.
RUN = {"q1": ["x", "a", "b"], "q2": [*"123456", "c"], "q9": ["a"]}


def test_measures_are_means_over_all_judged_questions() -> None:
    of_first = (1 / math.log2(3) + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    found = measure(RELEVANT, RUN)
    assert found["ndcg@10"] == pytest.approx((of_first + 1 / math.log2(8)) / 3)
    assert found["recall@5"] == pytest.approx(1 / 3)
    assert found["recall@10"] == pytest.approx(2 / 3)
    assert found["mrr@10"] == pytest.approx((1 / 2 + 1 / 7) / 3)
    assert measure_ndcg(RELEVANT, RUN) == found["ndcg@10"]


def test_what_stands_below_the_tenth_place_does_not_count() -> None:
    found = measure({"q1": {"a": 1}}, {"q1": [*map(str, range(10)), "a"]})
    assert set(found.values()) == {0.0}


def test_bars_are_read_and_refused_with_what_there_is() -> None:
    assert check_bars(["nDCG@10=0.6", "mrr@10 = 0.5"]) == {"ndcg@10": 0.6, "mrr@10": 0.5}
    with pytest.raises(InvalidRequest, match="write it like"):
        check_bars(["ndcg@10"])
    with pytest.raises(InvalidRequest, match="there are ndcg@10, recall@5"):
        check_bars(["ndcg@5=0.5"])
