from __future__ import annotations

from dataclasses import replace

import pytest

from sitebrook.errors import InvalidRequest, ProviderError
from sitebrook.providers import faults
from sitebrook.providers.attempts import AttemptPlan
from sitebrook.providers.router import most_telling
from sitebrook.settings import UpstreamSettings

RULE = UpstreamSettings()


def failed(status: int = 503, **headers: str) -> ProviderError:
    return faults.from_status("p", "m", status, headers, b"")


FAILURES = {
    "500": failed(500),
    "503": failed(),
    "503 in 2": failed(**{"retry-after": "2"}),
    "503 in 11": failed(**{"retry-after": "11"}),
    "429": failed(429),
    "429 in 2": failed(429, **{"retry-after": "2"}),
    "429 in 4": failed(429, **{"retry-after": "4"}),
    "401": failed(401),
    "404": failed(404),
    "quota": faults.from_status("p", "m", 429, {}, b'{"code": "insufficient_quota"}'),
    "unreachable": faults.unreachable("p"),
    "timed out": faults.did_not_start("p", 3),
    "malformed": faults.malformed("p", "sent nonsense"),
    "broke off": faults.broken_off("p"),
}


def tried(steps: int, *ends: str, took_s: float = 0.0, **over: float) -> str:
    """The steps that are tried, as ``step`` or ``step after a wait``, when they fail so in turn."""
    plan = AttemptPlan(replace(RULE, **over), steps, now=100.0, jitter=lambda: 1.0)
    now, turns = 100.0, []
    for end in [*ends, None]:
        turn = plan.next(now)
        if turn is None:
            break
        turns.append(f"{turn.step}+{turn.wait_s:g}" if turn.wait_s else f"{turn.step}")
        now += turn.wait_s + took_s
        if end == "not asked":
            plan.drop(turn.step)
        elif end is not None:
            plan.note_failure(turn.step, FAILURES[end], now)
    return " ".join(turns)


@pytest.mark.parametrize(
    ("steps", "ends", "turns"),
    [
        # one provider: again, after a growing pause
        (1, ["503", "503", "503"], "0 0+0.25 0+0.5"),
        (1, ["unreachable", "malformed", "broke off"], "0 0+0.25 0+0.5"),
        (1, ["timed out", "500", "500"], "0 0+0.25 0+0.5"),
        (1, ["429", "429", "429"], "0 0+0.25 0+0.5"),
        # what would fail again is not asked again
        (1, ["401"], "0"),
        (1, ["quota"], "0"),
        (1, ["503", "404"], "0 0+0.25"),
        # Retry-After is waited for where it fits
        (1, ["503 in 2", "429 in 4", "503"], "0 0+2.25 0+4.5"),
        (1, ["503 in 11"], "0"),
        (1, ["429 in 4", "429 in 4"], "0 0+4.25 0+4.5"),
        (1, ["429 in 4", "503 in 2", "429 in 4"], "0 0+4.25 0+2.5"),
        # two: one retry of the first, then the second, which keeps its attempt
        (2, ["503", "503", "503"], "0 0+0.25 1"),
        (2, ["503", "401", "503"], "0 0+0.25 1"),
        (2, ["401", "503", "503", "503"], "0 1 1+0.25"),
        (2, ["quota", "401"], "0 1"),
        # a slow or crowded one is left at once, and comes again when the others are through
        (2, ["timed out", "503", "503"], "0 1 1+0.25"),
        (2, ["429 in 2", "401", "503"], "0 1 0+2.25"),
        (2, ["429 in 4", "429 in 2", "503"], "0 1 1+2.25"),
        (2, ["429 in 2", "429 in 2", "503"], "0 1 0+2.25"),
        (2, ["503 in 11", "401"], "0 1"),
        # three: each once
        (3, ["503", "503", "503"], "0 1 2"),
        (4, ["401", "401", "401", "401"], "0 1 2"),
        # who was not asked costs nothing
        (2, ["not asked", "503", "503", "503"], "0 1 1+0.25 1+0.5"),
        (4, ["not asked", "not asked", "not asked", "503", "401"], "0 1 2 3 3+0.25"),
        (1, ["not asked"], "0"),
        (1, ["503", "not asked"], "0 0+0.25"),
        (2, ["503", "not asked", "503", "503"], "0 0+0.25 1 1+0.25"),
    ],
)
def test_what_is_tried_next(steps: int, ends: list[str], turns: str) -> None:
    assert tried(steps, *ends) == turns


@pytest.mark.parametrize(
    ("took_s", "turns"),
    [(3.0, "0 0+0.25 0+0.5"), (4.8, "0 0+0.25"), (9.7, "0 0+0.25"), (9.8, "0"), (30.0, "0")],
)
def test_nothing_begins_later_than_ten_seconds(took_s: float, turns: str) -> None:
    assert tried(1, "503", "503", "503", took_s=took_s) == turns


def test_a_fallback_does_not_begin_later_either() -> None:
    assert tried(2, "timed out", "503", took_s=9.9) == "0 1"
    assert tried(2, "timed out", "503", took_s=10.1) == "0"


def test_number_and_time_are_settings() -> None:
    assert tried(1, "503", "503", attempts=1) == "0"
    assert tried(1, *["503"] * 5, attempts=5, retry_pause_s=0.0) == "0 0 0 0 0"
    assert tried(1, "503", attempts_within_s=0.2) == "0"


def test_the_pause_is_random_from_nothing_up() -> None:
    pauses: list[float] = []
    for jitter in (0.0, 0.5, 1.0):
        plan = AttemptPlan(RULE, 1, now=0.0, jitter=lambda at=jitter: at)
        plan.note_failure(0, FAILURES["503"], 0.0)
        turn = plan.next(0.0)
        assert turn is not None
        pauses.append(turn.wait_s)
    assert pauses == [0.0, 0.125, 0.25]


LACKING = InvalidRequest("No.", param="seed")
RESTING = faults.resting("p", 4)


@pytest.mark.parametrize(
    ("refusals", "shown"),
    [
        ([FAILURES["500"], FAILURES["429 in 2"]], FAILURES["429 in 2"]),
        ([FAILURES["503"], FAILURES["401"]], FAILURES["503"]),
        ([FAILURES["401"], FAILURES["503"]], FAILURES["503"]),
        ([FAILURES["quota"], RESTING], RESTING),
        ([FAILURES["503"], RESTING], FAILURES["503"]),
        ([FAILURES["404"], FAILURES["401"]], FAILURES["401"]),
        ([LACKING, FAILURES["401"]], FAILURES["401"]),
        ([LACKING, RESTING], RESTING),
        ([LACKING, InvalidRequest("No.", param="n")], LACKING),
    ],
)
def test_when_all_fail_the_most_telling_refusal_is_shown(refusals, shown) -> None:
    assert most_telling(refusals) is shown
