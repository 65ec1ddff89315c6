"""What those who run the server look at: figures, health, the documentation of the API."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.factories import make_key, make_site
from tests.fakes.upstream import FakeUpstream
from tests.integration.api.client import (
    CHAT,
    Api,
    Reply,
    SiteKeys,
    assert_is_error,
    events_of,
    poll,
)
from tests.servers import running_server

from sitebrook.db.engine import Database

_SPREAD = {"count", "min", "average", "p50", "p95", "p99", "max"}


def _figures(api: Api, site: SiteKeys | None = None) -> dict[str, Any]:
    reply = api.send("GET", "/api/latency", None, (site or api.site).server)
    assert reply.status == 200
    return reply.json


def _of_chat(api: Api, model: str = "mock", *, least: int = 1) -> dict[str, Any]:
    """The figures of the chat route, which come after the last byte of an answer."""

    def read() -> dict[str, Any] | None:
        for one in _figures(api)["summaries"]:
            if (one["route"], one["model"]) == (f"POST {CHAT}", model) and one["count"] >= least:
                return one
        return None

    return poll(read)


def test_latency_figures_tell_each_phase_of_the_chat_route(api: Api) -> None:
    for streams in (True, False):
        assert api.ask("How do I tune the rigging?", stream=streams).status == 200
    chat = _of_chat(api, least=2)
    figures = _figures(api)
    assert figures["enabled"] is True
    assert figures["window"] == 1000
    assert 0 < chat["success_rate"] <= 1
    names = {"first_byte_ms", "first_delta_ms", "total_ms", "retrieval_ms", "provider_ms"}
    assert names <= set(chat["measures"])
    for spread in chat["measures"].values():
        assert set(spread) == _SPREAD
        ordered = [spread[name] for name in ("min", "p50", "p95", "p99", "max")]
        assert ordered == sorted(ordered)
        assert spread["min"] <= spread["average"] <= spread["max"]


def test_a_refused_request_lowers_the_success_rate(api: Api) -> None:
    refused = api.ask("x", model="mock/mock-fail-500", retrieval={"off": True})
    assert refused.status == 502
    broken = api.ask("How do I tune the rigging?", model="mock/mock-truncate-2", stream=True)
    assert "error" in events_of(broken.body)[-1]
    for model in ("mock/mock-fail-500", "mock/mock-truncate-2"):
        assert _of_chat(api, model)["success_rate"] == 0


def test_a_site_sees_its_own_figures_only(api: Api) -> None:
    assert api.ask("hello").status == 200
    assert api.ask("hello", api.other.server).status == 200
    for site in (api.site, api.other):
        assert {one["site_id"] for one in _figures(api, site)["summaries"]} == {site.site_id}
    assert_is_error(api.send("GET", "/api/latency", None, api.site.page), 403)


async def test_an_admin_key_sees_all_figures(api: Api, session_database_url: str) -> None:
    database = Database(session_database_url)
    site = await make_site(database, name="Operations")
    admin = await make_key(database, site, "admin")
    await database.aclose()
    headers = {"authorization": f"Bearer {admin.value}"}
    await api.asend("GET", "/v1/models", None, api.site.server)
    await api.asend("GET", "/v1/models", None, api.other.server)
    figures = (await api.asend("GET", "/api/latency", None, headers)).json
    sites = {one["site_id"] for one in figures["summaries"]}
    assert {api.site.site_id, api.other.site_id} <= sites


def test_health_is_open_to_everyone(api: Api) -> None:
    reply = api.send("GET", "/health/live")
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    reply = api.send("GET", "/health/ready")
    assert (reply.status, reply.json["status"], reply.json["redis"]) == (200, "ok", "ok")
    assert {"name": "up", "state": "closed", "rests_s": 0.0} in reply.json["providers"]


def test_the_docs_page_loads_nothing_from_elsewhere(api: Api) -> None:
    page = api.send("GET", "/docs")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    text = page.body.decode()
    named = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert named
    for address in named:
        if address == "data:,":
            continue
        assert address.startswith("/static/")
        asset = api.send("GET", address)
        assert asset.status == 200
        assert asset.headers["x-content-type-options"] == "nosniff"
    start = api.send("GET", "/static/docs/start.js").body.decode()
    assert "/docs/openapi.json" in start
    assert "http" not in start


def test_the_openapi_document_is_whole(api: Api) -> None:
    reply = api.send("GET", "/docs/openapi.json")
    assert reply.status == 200
    document = reply.json
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "sitebrook"
    for reference in set(_references(document)):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        assert found
    chat = document["paths"][CHAT]["post"]
    assert {"200", "400", "401", "404", "413", "415", "502", "503"} <= set(chat["responses"])
    ids = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(ids) == len(set(ids))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            declared = {
                one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"
            }
            assert declared == set(re.findall(r"{(\w+)}", path))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


@pytest.fixture
def doomed(database_url: str) -> Iterator[Api]:
    """A server whose database a test may take away; without metrics."""

    async def make() -> SiteKeys:
        database = Database(database_url)
        try:
            site = await make_site(database)
            return SiteKeys(site.id, (await make_key(database, site)).value, "", "")
        finally:
            await database.aclose()

    site, nobody = asyncio.run(make()), FakeUpstream()
    with running_server(database_url, SITEBROOK_LATENCY_METRICS="false") as server:
        yield Api(server, site, site, nobody, nobody)


def test_without_metrics_and_then_without_database(doomed: Api, database_url: str) -> None:
    api = doomed
    answer = api.ask("hello")
    assert answer.status == 200
    assert "server-timing" not in answer.headers
    figures = _figures(api)
    assert (figures["enabled"], figures["summaries"]) == (False, [])

    _set_open(database_url, is_open=False)
    ready = poll(lambda: _unless_ready(api), timeout_s=5)
    assert_is_error(ready, 503, "database_unavailable")
    assert int(ready.headers["retry-after"]) >= 1
    assert api.send("GET", "/health/live").status == 200
    asked = poll(lambda: _unless_ok(api.ask("hello")), timeout_s=5)
    assert_is_error(asked, 503, "database_unavailable")

    _set_open(database_url, is_open=True)
    poll(lambda: api.send("GET", "/health/ready").status == 200, timeout_s=5)
    assert api.ask("hello").status == 200


def _unless_ready(api: Api) -> Reply | None:
    return _unless_ok(api.send("GET", "/health/ready"))


def _unless_ok(reply: Reply) -> Reply | None:
    return None if reply.status == 200 else reply


def _set_open(url: str, *, is_open: bool) -> None:
    """Lets connections into the database, or throws all out and lets none in."""
    server = os.environ["TEST_DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://", 1)
    name = re.sub(r"\?.*", "", url).rsplit("/", 1)[1]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {is_open}")
        if not is_open:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
