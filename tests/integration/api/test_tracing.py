"""Spans of answers: what a collector gets, and that none of its faults delays anybody."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.fakes.upstream import FakeUpstream
from tests.integration.api.client import Api, SiteKeys, poll
from tests.servers import free_port, running_server, stop

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class _Collector(ThreadingHTTPServer):
    """Keeps what it gets; answers with ``status``."""

    daemon_threads = True

    def __init__(self, status: int) -> None:
        self.status = status
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") is None:
            self.server.bodies.append(body)
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(params=[200, 500])
def collector(request: pytest.FixtureRequest) -> Iterator[_Collector]:
    server = _Collector(request.param)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _ask(database_url: str, endpoint: str) -> tuple[float, float]:
    """Seconds for an answer and for the stop of a server that sends spans to the endpoint."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with running_server(database_url, **env) as server:
        site = SiteKeys("", server.secret_key, "", "")
        api = Api(server, site, site, FakeUpstream(), FakeUpstream())
        headers = {**site.server, "traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01"}
        assert api.ask("hello", headers, model="mock").status == 200
        began = time.monotonic()
        assert api.ask("What is a site? SECRET", headers, model="mock").status == 200
        answered = time.monotonic()
        time.sleep(0.3)  # the exporter is under way
        stopping = time.monotonic()
        stop(server.process)
        return answered - began, time.monotonic() - stopping


def test_a_collector_gets_the_spans_and_its_errors_delay_nobody(
    database_url: str, collector: _Collector
) -> None:
    answered_s, stopped_s = _ask(database_url, collector.url)
    assert answered_s < 3
    assert stopped_s < 8
    poll(lambda: collector.bodies)
    spans = [
        span
        for body in collector.bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    names = {span.name for span in spans}
    assert {"POST /v1/chat/completions", "chat mock", "retrieval", "attempt mock"} <= names
    assert {span.trace_id.hex() for span in spans} == {_TRACE}
    chat = next(span for span in spans if span.name == "chat mock")
    attributes = {one.key: one.value for one in chat.attributes}
    assert attributes["gen_ai.operation.name"].string_value == "chat"
    assert attributes["gen_ai.request.model"].string_value == "mock"
    assert attributes["gen_ai.response.finish_reasons"].array_value.values[0].string_value == "stop"
    retrieval = next(span for span in spans if span.name == "retrieval")
    found = {one.key: one.value.string_value for one in retrieval.attributes}
    assert found["sitebrook.searched_by"] == "question"
    assert not any(b"SECRET" in body for body in collector.bodies)


@pytest.mark.parametrize("accepts", [True, False])
def test_a_collector_that_hangs_or_refuses_delays_nobody(
    database_url: str, *, accepts: bool
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1] if accepts else free_port()
        if accepts:
            listener.listen()
        answered_s, stopped_s = _ask(database_url, f"http://127.0.0.1:{port}")
    assert answered_s < 3
    assert stopped_s < 8
