"""What Prometheus reads: exact counts after known traffic, and who may read them."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.databases import new_database
from tests.factories import make_key, make_site
from tests.fakes.upstream import FakeUpstream
from tests.integration.api.client import (
    CHAT,
    PAGE_ORIGIN,
    Api,
    SiteKeys,
    assert_is_error,
    events_of,
    poll,
    question,
)
from tests.servers import running_server

from sitebrook.db.engine import Database
from sitebrook.telemetry.families import FAMILIES

_CONFIG = """
[[providers]]
name = "mock"
kind = "mock"
passthrough = true
first_delta_delay_s = 0
delta_delay_s = 0

[[providers]]
name = "paced"
kind = "mock"
passthrough = true
first_delta_delay_s = 0.05
delta_delay_s = 0.02

[[models]]
id = "mock"
route = ["mock/mock"]
"""
_ROUTE = f"POST {CHAT}"
Figures = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    """A server that only these tests ask, and an admin key."""

    async def make(url: str) -> tuple[SiteKeys, str]:
        database = Database(url)
        try:
            site = await make_site(database, allowed_origins=(PAGE_ORIGIN,))
            admin = await make_key(database, site, "admin")
            secret = await make_key(database, site)
            return SiteKeys(site.id, secret.value, "", PAGE_ORIGIN), admin.value
        finally:
            await database.aclose()

    nobody = FakeUpstream()
    config = tmp_path_factory.mktemp("metrics") / "sitebrook.toml"
    config.write_text(_CONFIG, "utf-8")
    with new_database() as url:
        site, admin = asyncio.run(make(url))
        with running_server(url, SITEBROOK_CONFIG=str(config)) as server:
            yield Api(server, site, site, nobody, nobody), admin


def figures(api: Api, name: str, *labels: str) -> Figures:
    """The samples of a metric by the values of the labels."""
    reply = api.send("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
        if sample.name == name
    }


def _leave(api: Api) -> None:
    """Asks for a stream, reads its first delta, and goes."""
    connection = http.client.HTTPConnection("127.0.0.1", api.server.port, timeout=10)
    body = json.dumps(question("Count to twenty.", model="paced/mock", stream=True))
    connection.request("POST", CHAT, body, {"content-type": "application/json", **api.site.server})
    response = connection.getresponse()
    while b'"content":"' not in response.readline():
        pass
    assert figures(api, "sitebrook_open_streams") == {(): 1}
    response.close()
    connection.close()


def test_a_scrape_counts_exactly_what_happened(metered: tuple[Api, str]) -> None:
    api, _ = metered
    deltas = 0
    for _ in range(2):
        events = events_of(api.ask("hello", stream=True).body)
        deltas += sum(1 for one in events[:-1] if one["choices"][0]["delta"].get("content"))
    assert api.ask("hello").status == 200
    _leave(api)
    broken = api.ask("hello there", model="mock/mock-truncate-2", stream=True)
    assert "error" in events_of(broken.body)[-1]
    assert api.ask("hello", model="mock/mock-fail-500").status == 502
    assert api.ask("hello", temperature="hot").status == 400
    assert api.ask("hello", {"authorization": "Bearer sk-none"}).status == 401
    assert api.ask("hello", model="x" * 200).status == 404
    for path in ("/nowhere", "/no/where?else=1"):
        assert api.send("GET", path).status == 404
    expected = {
        (_ROUTE, "200", "ok"): 3,
        (_ROUTE, "200", "cancelled"): 1,
        (_ROUTE, "200", "interrupted"): 1,
        (_ROUTE, "400", "error"): 1,
        (_ROUTE, "401", "error"): 1,
        (_ROUTE, "404", "error"): 1,
        (_ROUTE, "502", "error"): 1,
        ("GET other", "404", "error"): 2,
    }

    def counted() -> Figures:
        found = figures(api, "sitebrook_requests_total", "route", "status", "outcome")
        return {key: value for key, value in found.items() if key[0] in {_ROUTE, "GET other"}}

    poll(lambda: sum(counted().values()) == sum(expected.values()))
    assert counted() == expected
    site = api.site.site_id
    answers = figures(api, "sitebrook_answers_total", "site", "model", "provider", "outcome")
    assert answers == {
        (site, "mock", "mock", "ok"): 3,
        (site, "paced/mock", "paced", "cancelled"): 1,
        (site, "mock/mock-truncate-2", "mock", "interrupted"): 1,
        (site, "mock/mock-fail-500", "none", "error"): 1,
    }
    split = ("model", "provider")
    assert figures(api, "sitebrook_deltas_total", *split)["mock", "mock"] == deltas / 2 * 3
    gaps = figures(api, "sitebrook_delta_gap_seconds_count", *split)
    assert gaps["mock", "mock"] == deltas / 2 * 3 - 3
    firsts = figures(api, "sitebrook_first_delta_seconds_count", *split)
    assert firsts == {
        ("mock", "mock"): 3,
        ("paced/mock", "paced"): 1,
        ("mock/mock-truncate-2", "mock"): 1,
    }
    durations = figures(api, "sitebrook_request_duration_seconds_count", "route")
    assert durations[_ROUTE,] == 9
    assert figures(api, "sitebrook_first_byte_seconds_count", "route")[_ROUTE,] == 9
    assert figures(api, "sitebrook_open_streams") == {(): 0}
    attempts = figures(api, "sitebrook_upstream_attempts_total", "provider", "outcome")
    assert attempts["mock", "answered"] >= 1
    assert attempts["paced", "left"] == 1
    states = figures(api, "sitebrook_breaker_state", "provider", "state")
    assert states["mock", "closed"] == 1


def test_the_exposition_has_every_family_and_no_other(metered: tuple[Api, str]) -> None:
    api, _ = metered
    text = api.send("GET", "/metrics").body.decode()
    kinds = dict(
        line.removeprefix("# TYPE ").rsplit(" ", 1)
        for line in text.splitlines()
        if line.startswith("# TYPE ")
    )
    assert kinds == {one.name: one.kind for one in FAMILIES}
    assert figures(api, "sitebrook_build_info", "version")
    assert figures(api, "process_resident_memory_bytes")[()] > 1e6
    connections = figures(api, "sitebrook_database_connections_max", "pool")
    assert connections == {("search",): 4, ("other",): 5, ("look_up",): 1}
    assert figures(api, "sitebrook_turns_waiting") == {(): 0}


def test_only_admins_and_programs_on_this_machine_may_read(metered: tuple[Api, str]) -> None:
    api, admin = metered

    def read(**headers: str) -> object:
        return api.send(
            "GET", "/metrics", None, {name.replace("_", "-"): one for name, one in headers.items()}
        )

    for through in (
        {"x_forwarded_for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"origin": PAGE_ORIGIN},
        {"host": "rebound.example.com"},
    ):
        assert_is_error(read(**through), 401, "missing_api_key")
        site_key = api.site.server["authorization"]
        assert_is_error(read(**through, authorization=site_key), 403, "admin_key_required")
        assert read(**through, authorization=f"Bearer {admin}").status == 200


def test_one_scrape_has_the_sum_of_all_workers(
    database_url: str, with_redis: dict[str, str]
) -> None:
    nobody, site = FakeUpstream(), SiteKeys("", "", "", "")
    with running_server(database_url, SITEBROOK_WORKERS="2", **with_redis) as server:
        api = Api(server, site, site, nobody, nobody)
        for _ in range(20):
            assert api.send("GET", "/nowhere").status == 404

        def count() -> float:
            found = figures(api, "sitebrook_requests_total", "route", "status")
            return found.get(("GET other", "404"), 0)

        # Each worker sees the other as it was up to a second ago.
        poll(lambda: [count() for _ in range(8)] == [20] * 8, timeout_s=5)
