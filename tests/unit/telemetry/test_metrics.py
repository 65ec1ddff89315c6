from __future__ import annotations

import math
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from sitebrook.telemetry.latency import GAP_BOUNDS_S, Timings, current_timings
from sitebrook.telemetry.metrics import EventFigures, JobFigures, Metrics, OpenJobs, Sources
from sitebrook.telemetry.series import Snapshot


def _make() -> Metrics:
    sources = Sources(
        turns_waiting=lambda: 3,
        connections=lambda: {"search": (1, 4), "other": (6, 6)},
        log_lines_dropped=lambda: 0,
        redis_is_up=lambda: True,
        redis_faults=lambda: 2,
        question_vectors=lambda: {"process": 1},
        events=lambda: EventFigures(emitted=7, lag_s=0.5),
    )
    return Metrics(["known"], ["openai"], version="1.2.3", sources=sources)


async def _read(metrics: Metrics) -> dict[str, list[Any]]:
    text = (await metrics.render()).decode()
    found: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def _answer(**over: Any) -> Timings:
    known = {"route": "POST /chat", "status": 200, "model": "known", "provider": "openai"}
    return Timings(**{**known, "total_ms": 12.0, **over})


async def test_labels_from_callers_are_bounded() -> None:
    metrics = _make()
    for number in range(500):
        metrics.record(_answer(site_id=f"site_{number}", model=f"model-{number}"))
        metrics.record(Timings(route=f"GET /{number}", status=404, total_ms=1.0))
        metrics.note_attempt("openai", f"gpt-{number}", "answered", 0.1)
    metrics.record(_answer(site_id="site_0", model="x" * 101))
    metrics.record(_answer(site_id="site_0"))
    found = await _read(metrics)
    answers = found["sitebrook_answers_total"]
    assert len({one.labels["site"] for one in answers}) == 101
    models = {one.labels["model"] for one in answers}
    assert len(models) == 102
    assert {"known", "other"} <= models
    assert len({one.labels["route"] for one in found["sitebrook_requests_total"]}) == 101
    attempts = found["sitebrook_upstream_attempts_total"]
    assert len({one.labels["model"] for one in attempts}) == 101


async def test_the_series_of_a_metric_are_bounded_too() -> None:
    metrics = _make()
    for site in range(100):
        for model in range(100):
            metrics.record(_answer(site_id=f"s{site}", model=f"m{model}", provider=f"p{model}"))
    found = await _read(metrics)
    answers = found["sitebrook_answers_total"]
    assert len(answers) == 1001
    assert sum(one.value for one in answers) == 10_000


async def test_buckets_are_cumulative_and_a_bound_belongs_to_its_bucket() -> None:
    metrics = _make()
    for ms in (1.0, 1.0, 2.0, 400_000.0):
        metrics.record(Timings(route="GET /", status=200, total_ms=ms))
    found = await _read(metrics)
    buckets = {
        one.labels["le"]: one.value for one in found["sitebrook_request_duration_seconds_bucket"]
    }
    assert (buckets["0.001"], buckets["0.0025"], buckets["300.0"], buckets["+Inf"]) == (2, 3, 3, 4)
    assert found["sitebrook_request_duration_seconds_count"][0].value == 4
    assert math.isclose(found["sitebrook_request_duration_seconds_sum"][0].value, 400.004)


async def test_gaps_are_counted_while_the_answer_streams() -> None:
    timings = _answer()
    for _ in range(5):
        timings.note_deltas(1)
    assert (timings.deltas, sum(timings.gaps)) == (5, 4)
    assert len(timings.gaps) == len(GAP_BOUNDS_S) + 1
    assert 0 < timings.gaps_s < 1
    metrics = _make()
    metrics.record(timings)
    found = await _read(metrics)
    assert found["sitebrook_delta_gap_seconds_count"][0].value == 4
    assert math.isclose(found["sitebrook_delta_gap_seconds_sum"][0].value, timings.gaps_s)
    assert found["sitebrook_deltas_total"][0].value == 5


async def test_an_unknown_price_is_not_money() -> None:
    metrics = _make()
    for cost in (None, 0.25, 0.5, 0.0):
        timings = _answer(cost=cost, prompt_tokens=7, completion_tokens=2)
        timings.note_deltas(1)
        metrics.record(timings)
    found = await _read(metrics)
    assert [one.value for one in found["sitebrook_cost_total"]] == [0.75]
    assert [one.value for one in found["sitebrook_unpriced_answers_total"]] == [1]
    tokens = {one.labels["kind"]: one.value for one in found["sitebrook_tokens_total"]}
    assert tokens == {"prompt": 28, "completion": 8}


async def test_an_attempt_belongs_to_the_request_that_made_it() -> None:
    metrics, timings = _make(), Timings()
    token = current_timings.set(timings)
    metrics.note_attempt("openai", "gpt", "timed_out", 1.5)
    current_timings.reset(token)
    metrics.note_attempt("openai", "gpt", "answered", 0.5)
    assert [(one.provider, one.outcome) for one in timings.attempts] == [("openai", "timed_out")]
    assert math.isclose(timings.attempts[0].ended - timings.attempts[0].started, 1.5)
    found = await _read(metrics)
    outcomes = {one.labels["outcome"] for one in found["sitebrook_upstream_attempts_total"]}
    assert outcomes == {"timed_out", "answered"}


async def test_a_breaker_is_in_one_state() -> None:
    metrics = _make()
    for state in ("closed", "open", "half_open", "open"):
        metrics.note_breaker("openai", state)
    found = await _read(metrics)
    states = {one.labels["state"]: one.value for one in found["sitebrook_breaker_state"]}
    assert states == {"closed": 0, "open": 1, "half_open": 0}


async def test_the_figures_of_other_processes_are_added() -> None:
    class Peer:
        def read(self) -> list[Snapshot]:
            return [other.snapshot()]

    one, other = _make(), _make()
    for metrics, count in ((one, 2), (other, 3)):
        for _ in range(count):
            metrics.record(_answer())
        metrics.note_breaker("openai", "closed")
        metrics.open_stream()
    other.record(_answer(model="mine"))
    one.peers = Peer()
    found = await _read(one)
    answers = {sample.labels["model"]: sample.value for sample in found["sitebrook_answers_total"]}
    assert answers == {"known": 5, "mine": 1}
    assert found["sitebrook_answer_duration_seconds_count"][0].value == 5
    assert found["sitebrook_open_streams"][0].value == 2
    assert found["sitebrook_turns_waiting"][0].value == 6
    assert found["sitebrook_breaker_state"][0].value == 2
    assert found["sitebrook_build_info"][0].value == 1


async def test_labels_are_escaped() -> None:
    metrics = _make()
    metrics.record(_answer(model='a"b\\c\nd'))
    found = await _read(metrics)
    assert found["sitebrook_answers_total"][0].labels["model"] == 'a"b\\c\nd'


async def test_jobs_are_counted_by_kind_and_status() -> None:
    metrics = _make()
    metrics.jobs = lambda: JobFigures(
        (OpenJobs("crawl", "queued", 3, 9.5), OpenJobs("crawl", "running", 1, 2.0)), 2, 1
    )
    metrics.note_job_start("crawl", 0.2)
    metrics.note_job_end("crawl", "succeeded", 12.0)
    metrics.note_job_end("crawl", "waiting", 1.0)
    found = await _read(metrics)
    open_jobs = {one.labels["status"]: one.value for one in found["sitebrook_jobs_open"]}
    assert open_jobs == {"queued": 3, "running": 1}
    oldest = {one.labels["status"]: one.value for one in found["sitebrook_jobs_oldest_seconds"]}
    assert oldest == {"queued": 9.5, "running": 2}
    ended = {one.labels["status"]: one.value for one in found["sitebrook_job_attempts_total"]}
    assert ended == {"succeeded": 1, "waiting": 1}
    [seconds] = found["sitebrook_job_attempt_seconds_sum"]
    assert (seconds.labels, seconds.value) == ({"kind": "crawl"}, 13)
    [waited] = found["sitebrook_job_wait_seconds_count"]
    assert waited.value == 1
    assert [one.value for one in found["sitebrook_job_workers"]] == [2]
    assert [one.value for one in found["sitebrook_job_handlers_stuck"]] == [1]


async def test_kinds_of_jobs_are_bounded() -> None:
    metrics = _make()
    metrics.jobs = lambda: JobFigures(
        tuple(OpenJobs(f"kind-{number}", "queued", 1, number) for number in range(100))
    )
    found = await _read(metrics)
    counts = {one.labels["kind"]: one.value for one in found["sitebrook_jobs_open"]}
    assert len(counts) == 51
    assert counts["other"] == 50
