from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from sitebrook.telemetry.latency import Timings
from sitebrook.telemetry.logs import JsonFormatter, LineWriter, log_answer, request_id


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def _logger(writer: LineWriter) -> logging.Logger:
    writer.setFormatter(JsonFormatter())
    logger = logging.getLogger(f"test.{id(writer)}")
    logger.setLevel("INFO")
    logger.propagate = False
    logger.addHandler(writer)
    return logger


def test_every_line_is_one_json_object_with_the_request_s_id(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    logger = _logger(writer)
    token = request_id.set("req_1")
    logger.info("one\ntwo", extra={"model": "m"})
    request_id.reset(token)
    logger.info("later", extra={"request_id": "req_2"})
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("failed")
    writer.close()
    lines = [json.loads(line) for line in os.read(pipe[0], 65536).splitlines()]
    assert [one.get("request_id") for one in lines] == ["req_1", "req_2", None]
    assert (lines[0]["message"], lines[0]["model"]) == ("one\ntwo", "m")
    assert "ValueError: broken" in lines[2]["exception"]


def test_a_full_pipe_delays_nobody_and_what_is_lost_is_counted(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], max_waiting=100)
    logger = _logger(writer)
    started = time.perf_counter()
    for _ in range(2000):
        logger.info("x" * 1000)
    assert time.perf_counter() - started < 1
    assert writer.dropped >= 1000
    before = time.perf_counter()
    writer.close()
    assert time.perf_counter() - before < 1.5
    _drain_until_thread_ends(pipe[0])


def test_a_pipe_that_nobody_reads_any_more_raises_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(writing)
    logger = _logger(writer)
    logger.info("lost")
    writer.close()
    assert writer.dropped == 1
    os.close(writing)


def test_an_answer_s_line_has_figures_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    log_answer(Timings(route="GET /health/live", status=200))
    timings = Timings(route="POST /chat", status=200, site_id="site_1", model="m", provider="p")
    timings.answer_id, timings.total_ms = "ans_1", 12.34
    log_answer(timings)
    assert len(caplog.records) == 1
    fields = vars(caplog.records[0])
    shown = ("route", "status", "outcome", "answer_id", "site_id", "model", "provider", "ms")
    assert [fields[name] for name in shown] == [
        *("POST /chat", 200, "ok", "ans_1", "site_1", "m", "p", 12.3)
    ]
    assert fields["attempts"] == 0


def _drain_until_thread_ends(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    deadline = time.monotonic() + 5
    while any(one.name == "log" for one in threading.enumerate()):
        assert time.monotonic() < deadline
        try:
            os.read(descriptor, 65536)
        except BlockingIOError:
            time.sleep(0.001)


def test_what_utf_8_cannot_hold_is_escaped() -> None:
    record = logging.LogRecord("a", logging.ERROR, "a.py", 1, "half \ud800 and \u00e9", (), None)
    assert json.loads(JsonFormatter().format(record))["message"] == "half \ud800 and \u00e9"
