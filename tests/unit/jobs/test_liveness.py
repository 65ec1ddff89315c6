"""When a worker may judge that another one is gone. The clock is passed in."""

from __future__ import annotations

import pytest

from sitebrook.jobs.liveness import Liveness


def living(*, is_settled: bool = True) -> Liveness:
    found = Liveness(heartbeat_s=5, stalled_s=20)
    found.begin(100, is_settled=is_settled)
    return found


def test_nobody_is_judged_before_the_first_heartbeat() -> None:
    assert not Liveness(heartbeat_s=5, stalled_s=20).may_judge(1000)


def test_who_finds_postgres_up_for_long_may_judge_at_once() -> None:
    assert living().may_judge(100)


def test_after_a_restart_of_postgres_others_get_their_time() -> None:
    found = living(is_settled=False)
    for now in range(105, 120, 5):
        found.beat(now)
        assert not found.may_judge(now)
    found.beat(120)
    assert found.may_judge(120)


@pytest.mark.parametrize("gap_s", [11, 60])
def test_who_could_not_show_its_own_life_judges_nobody_for_a_while(gap_s: int) -> None:
    found = living()
    found.beat(105)
    back = 105 + gap_s
    assert not found.may_judge(back)  # before its own heartbeat
    found.beat(back)
    for now in range(back, back + 20, 5):
        found.beat(now)
        assert not found.may_judge(now)
    found.beat(back + 20)
    assert found.may_judge(back + 20)


def test_a_heartbeat_that_is_a_little_late_changes_nothing() -> None:
    found = living()
    found.beat(110)
    assert found.may_judge(115)
