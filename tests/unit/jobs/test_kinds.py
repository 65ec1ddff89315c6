"""Kinds of jobs, the pauses between their attempts, the moments of cron."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from sitebrook.errors import InvalidRequest, ProviderError, StartError, Unavailable
from sitebrook.jobs.job import NoArguments, to_json
from sitebrook.jobs.kinds import JobKind, JobKinds, last_moment, pause_before_retry


async def nothing(_context: object, _arguments: object) -> None:
    """Handles any kind."""


def kind(name: str = "one", **over: object) -> JobKind[NoArguments]:
    return JobKind(**{"name": name, "handler": nothing, "arguments": NoArguments, **over})


def test_a_kind_has_one_name() -> None:
    with pytest.raises(ValueError, match="two kinds of jobs are named one"):
        JobKinds([kind(), kind()])


@pytest.mark.parametrize("timeout_s", [0, -1, 1801])
def test_a_kind_takes_30_minutes_at_most(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="at most 1800 s"):
        kind(timeout_s=timeout_s)
    kind(timeout_s=1800)


def test_a_cron_expression_is_checked() -> None:
    with pytest.raises(ValueError, match="'every day' is not a cron expression"):
        kind(cron="every day")


def test_what_cron_enqueues_has_no_arguments() -> None:
    class Some(msgspec.Struct):
        text: str

    with pytest.raises(ValueError, match="has no arguments"):
        JobKind(name="one", handler=nothing, arguments=Some, cron="* * * * *")


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [
        (Unavailable("later"), True),
        (ProviderError("later"), True),
        (ProviderError("never", is_permanent=True), False),
        (InvalidRequest("no"), False),
        (ValueError("fault"), False),
        (TimeoutError(), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, *, is_retryable: bool) -> None:
    assert kind().is_retryable(error) is is_retryable


def test_pauses_double_and_half_of_each_is_random() -> None:
    for failures, base_s in ((1, 5), (2, 10), (3, 20), (7, 300), (60, 300)):
        pauses = {
            pause_before_retry(Unavailable(""), failures, first_s=5, most_s=300) for _ in range(50)
        }
        assert len(pauses) > 1
        assert all(base_s / 2 <= pause <= base_s for pause in pauses)


def test_an_error_may_ask_for_a_longer_pause() -> None:
    asks = Unavailable("", retry_after_s=60)
    assert pause_before_retry(asks, 1, first_s=5, most_s=300) == 60
    assert pause_before_retry(asks, 1, first_s=5, most_s=30) == 30


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "moment"),
    [
        (NOON, NOON),
        (NOON + timedelta(microseconds=1), NOON),
        (NOON + timedelta(minutes=59, seconds=59.9), NOON),
        (NOON - timedelta(microseconds=1), NOON - timedelta(hours=1)),
    ],
)
def test_the_last_moment_of_cron_is_not_after_now(now: datetime, moment: datetime) -> None:
    assert last_moment("0 * * * *", now) == moment


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ({"text": "a\0b"}, rb'{"text":"a\ufffdb"}'),
        ("\0\0", rb'"\ufffd\ufffd"'),
        ("\\u0000", rb'"\\u0000"'),
        ("\\\0", rb'"\\\ufffd"'),
        ("\\\\u0000", rb'"\\\\u0000"'),
    ],
)
def test_json_for_postgres_has_no_nul(value: object, encoded: bytes) -> None:
    assert to_json(value) == encoded


def test_a_queue_that_no_kind_goes_to_is_named() -> None:
    kinds = JobKinds([kind("a"), kind("b", queue="slow")])
    kinds.check_queues(("default", "slow"))
    kinds.check_queues(())
    with pytest.raises(StartError, match=r"no queue 'slwo'.*default, slow"):
        kinds.check_queues(("default", "slwo"))
