from __future__ import annotations

from sitebrook.jobs.pace import Pace


def test_the_rest_takes_as_long_as_what_this_attempt_has_done() -> None:
    moments = iter([100.0, 104.0, 110.0])
    pace = Pace(6, clock=lambda: next(moments))
    assert pace.left_s(6, 10) is None
    assert pace.left_s(8, 10) == 4.0
    assert pace.left_s(10, 10) == 0.0


def test_a_total_that_shrinks_leaves_nothing_to_do() -> None:
    moments = iter([0.0, 3.0])
    pace = Pace(clock=lambda: next(moments))
    assert pace.left_s(3, 2) == 0.0
