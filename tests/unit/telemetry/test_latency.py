from __future__ import annotations

from sitebrook.telemetry.latency import LatencyRecorder, Timings, to_spread


def test_percentiles_are_by_nearest_rank() -> None:
    spread = to_spread([float(value) for value in range(1, 101)])
    assert spread is not None
    assert (spread.p50, spread.p95, spread.p99) == (50.0, 95.0, 99.0)
    assert (spread.min, spread.max, spread.average) == (1.0, 100.0, 50.5)


def test_a_measure_that_nobody_had_is_left_out() -> None:
    assert to_spread([None, None]) is None


def test_the_window_slides_and_cancelled_requests_are_no_failures() -> None:
    recorder = LatencyRecorder(window=4)
    for outcome in ("error", "error", "ok", "ok", "cancelled", "error"):
        recorder.record(Timings(route="GET /x", outcome=outcome, total_ms=1.0))
    summary = recorder.summarise()[0]
    assert (summary.count, summary.cancelled) == (4, 1)
    assert summary.success_rate == 2 / 3


def test_an_answer_that_broke_off_is_a_failure() -> None:
    recorder = LatencyRecorder(window=4)
    for outcome in ("ok", "interrupted", "cancelled"):
        recorder.record(Timings(route="GET /x", outcome=outcome, total_ms=1.0))
    assert recorder.summarise()[0].success_rate == 0.5


def test_a_site_sees_its_own_figures_only() -> None:
    recorder = LatencyRecorder(window=4)
    recorder.record(Timings(route="GET /x", site_id="site_a", total_ms=1.0))
    recorder.record(Timings(route="GET /x", site_id="site_b", total_ms=1.0))
    assert [one.site_id for one in recorder.summarise("site_a")] == ["site_a"]
    assert len(recorder.summarise()) == 2


def test_label_sets_are_bounded() -> None:
    recorder = LatencyRecorder(window=1)
    for number in range(1000):
        recorder.record(Timings(route=f"GET /{number}", total_ms=1.0))
    assert len(recorder.summarise()) == 256


def test_phases_are_named_in_the_server_timing_header() -> None:
    timings = Timings(phases={"retrieval": 1.25, "provider": 30.0})
    assert timings.to_server_timing() == "retrieval;dur=1.2, provider;dur=30.0"
