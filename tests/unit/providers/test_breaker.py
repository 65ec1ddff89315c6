from __future__ import annotations

import msgspec
import pytest

from sitebrook.providers.breaker import BreakerRule, CircuitBreaker, Permit
from sitebrook.providers.observer import BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
RULE = BreakerRule(failures=3, share=0.5, window_s=10, rest_s=5, max_rest_s=20, probes=2)


def make_breaker(**over: float) -> CircuitBreaker:
    return CircuitBreaker(msgspec.structs.replace(RULE, **over))


def admit(breaker: CircuitBreaker, now: float) -> Permit:
    permit = breaker.admit(now)
    assert permit is not None
    return permit


def play(breaker: CircuitBreaker, ends: str, *, start: float = 0.0, step: float = 1.0) -> None:
    """One request a step: ``x`` failed, ``o`` succeeded, ``r`` reached only, ``-`` released."""
    for number, end in enumerate(ends):
        now = start + number * step
        permit = admit(breaker, now)
        match end:
            case "x":
                breaker.failed(permit, now)
            case "o":
                breaker.succeeded(permit, now)
            case "r":
                breaker.reached(permit)
                breaker.released(permit)
            case _:
                breaker.released(permit)


def opened(at: float = 0.0, **over: float) -> CircuitBreaker:
    """A breaker that has just opened."""
    breaker = make_breaker(**over)
    play(breaker, "xxx", start=at, step=0)
    assert breaker.state is OPEN
    return breaker


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ("", CLOSED),
        ("xx", CLOSED),
        ("xxx", OPEN),
        ("xoxox", OPEN),
        ("ooooxxx", CLOSED),  # 3 of 7 are fewer than half
        ("oooxxx", OPEN),
        ("xx----", CLOSED),
        ("xx--x", OPEN),
        ("xxrrrrx", OPEN),  # only whole answers count as good
    ],
)
def test_it_opens_at_enough_failures_that_are_enough_of_all(ends: str, state: BreakerState) -> None:
    breaker = make_breaker()
    play(breaker, ends)
    assert breaker.state is state


@pytest.mark.parametrize(("step", "state"), [(4.0, OPEN), (4.9, OPEN), (5.1, CLOSED), (20, CLOSED)])
def test_failures_count_only_as_long_as_the_window(step: float, state: BreakerState) -> None:
    breaker = make_breaker()
    play(breaker, "xxx", step=step)
    assert breaker.state is state


def test_without_a_number_of_failures_it_never_opens() -> None:
    breaker = make_breaker(failures=0)
    play(breaker, "x" * 100, step=0)
    assert breaker.state is CLOSED


def test_a_few_failures_among_many_answers_open_nothing() -> None:
    breaker = make_breaker()
    play(breaker, "oooxooo" * 500, step=0.01)
    assert breaker.state is CLOSED


@pytest.mark.parametrize(("now", "rests_s"), [(0.0, 5.0), (2.0, 3.0), (4.9, 0.1)])
def test_an_open_one_refuses_and_tells_how_long(now: float, rests_s: float) -> None:
    breaker = opened()
    assert breaker.admit(now) is None
    assert breaker.rests_s(now) == pytest.approx(rests_s)
    assert breaker.state is OPEN


def test_after_its_rest_a_bounded_number_of_probes_pass() -> None:
    breaker = opened()
    first = admit(breaker, 5.0)
    assert breaker.state is HALF_OPEN
    admit(breaker, 5.0)
    assert breaker.admit(5.0) is None
    breaker.released(first)  # its caller left: another may find out
    admit(breaker, 6.0)
    assert breaker.admit(6.0) is None


def test_a_probe_that_begins_to_answer_closes_it() -> None:
    breaker = opened()
    permit = admit(breaker, 5.0)
    breaker.reached(permit)
    assert breaker.state is CLOSED
    assert breaker.rests_s(5.0) == 0
    play(breaker, "ooooo", start=5.0)


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    breaker, now = opened(), 0.0
    for rest_s in (5.0, 10.0, 20.0, 20.0, 20.0):
        assert breaker.rests_s(now) == pytest.approx(rest_s)
        assert breaker.admit(now + rest_s - 0.1) is None
        now += rest_s
        breaker.failed(admit(breaker, now), now)
        assert breaker.state is OPEN


def test_only_a_whole_answer_makes_its_rests_short_again() -> None:
    breaker = opened()
    permit = admit(breaker, 5.0)
    breaker.reached(permit)
    play(breaker, "xx", start=5.0, step=0)
    breaker.failed(permit, 6.0)  # the probe broke off later, and counts
    assert breaker.rests_s(6.0) == pytest.approx(10.0)
    breaker.succeeded(admit(breaker, 16.0), 16.0)
    play(breaker, "xxx", start=17.0, step=0)
    assert breaker.rests_s(17.0) == pytest.approx(5.0)


def test_what_began_before_it_opened_changes_nothing() -> None:
    breaker = make_breaker()
    old = [admit(breaker, 0.0) for _ in range(4)]
    play(breaker, "xxx", step=0)
    breaker.failed(old[0], 1.0)
    assert breaker.rests_s(1.0) == pytest.approx(4.0)
    breaker.succeeded(old[1], 1.0)
    assert breaker.state is OPEN
    admit(breaker, 5.0)
    breaker.released(old[2])  # was no probe
    admit(breaker, 5.0)
    assert breaker.admit(5.0) is None
    breaker.failed(old[3], 5.0)
    assert breaker.state is HALF_OPEN


def test_set_aside_it_still_permits_and_tells_until_when() -> None:
    breaker = make_breaker()
    breaker.set_aside(0.0, 3.0)
    breaker.set_aside(0.0, 1.0)  # the longest counts
    assert breaker.is_set_aside(2.9)
    assert breaker.rests_s(1.0) == pytest.approx(2.0)
    assert not breaker.is_set_aside(3.0)
    breaker.set_aside(10.0, 3600.0)
    assert breaker.rests_s(10.0) == pytest.approx(20.0)
    assert breaker.state is CLOSED
    assert breaker.admit(11.0) is not None


def test_an_answer_that_was_asked_for_later_ends_being_set_aside() -> None:
    breaker = make_breaker()
    before = admit(breaker, 0.0)
    breaker.set_aside(1.0, 10.0)
    breaker.reached(before)
    assert breaker.is_set_aside(2.0)
    breaker.reached(admit(breaker, 2.0))
    assert not breaker.is_set_aside(2.0)


def test_every_change_is_told_once() -> None:
    told: list[BreakerState] = []
    breaker = CircuitBreaker(RULE, on_change=told.append)
    play(breaker, "xxx", step=0)
    assert breaker.admit(1.0) is None
    breaker.failed(admit(breaker, 5.0), 5.0)
    breaker.reached(admit(breaker, 15.0))
    breaker.succeeded(admit(breaker, 15.0), 15.0)
    assert told == [OPEN, HALF_OPEN, OPEN, HALF_OPEN, CLOSED]
