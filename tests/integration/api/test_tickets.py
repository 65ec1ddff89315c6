"""Tickets: what they open, for whom, and how often."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.databases import to_libpq
from tests.integration.api.client import (
    PAGE_ORIGIN,
    SIMPLE,
    Api,
    Reply,
    SiteKeys,
    assert_is_error,
    events_of,
    poll,
)
from tests.servers import running_server

from sitebrook.access.keys import create_key, revoke_key
from sitebrook.db.engine import Database

TICKETS = "/api/tickets"


def _ticket(api: Api, headers: dict[str, str], **body: object) -> str:
    reply = api.send("POST", TICKETS, body, headers)
    assert reply.status == 201, reply
    return reply.json["ticket"]


def _use(api: Api, ticket: str, query: str = "", **headers: str) -> Reply:
    path = f"{SIMPLE}?ticket={ticket}&question=hello{query}"
    return api.send("GET", path, None, headers)


@pytest.fixture(scope="module")
def visitor(api: Api) -> dict[str, str]:
    """Headers of a visitor of the site."""
    return api.site.visitor(api.send("POST", "/api/visitors", {}, api.site.page).json["token"])


def test_a_ticket_is_short_lived_and_kept_by_no_cache(api: Api, visitor: dict[str, str]) -> None:
    reply = api.send("POST", TICKETS, b"", visitor)
    assert reply.status == 201
    assert set(reply.json) == {"ticket", "expires_at"}
    assert reply.json["ticket"].startswith("tk-")
    assert reply.headers["cache-control"] == "no-store"
    left = datetime.fromisoformat(reply.json["expires_at"]) - datetime.now().astimezone()
    assert timedelta(seconds=40) < left <= timedelta(seconds=61)


@pytest.mark.parametrize("kind", ["server", "page", "visitor"])
def test_a_ticket_opens_one_stream_once(api: Api, visitor: dict[str, str], kind: str) -> None:
    headers = visitor if kind == "visitor" else getattr(api.site, kind)
    ticket = _ticket(api, headers, path=SIMPLE)
    assert events_of(_use(api, ticket).body)[-1] == "[DONE]"
    refused = _use(api, ticket)
    assert_is_error(refused, 401, "invalid_ticket")
    assert refused.headers["x-should-retry"] == "false"


def test_a_ticket_opens_one_of_many_streams_that_come_at_once(
    api: Api, visitor: dict[str, str], session_database_url: str, with_redis: dict[str, str]
) -> None:
    """Also where the streams reach different processes."""
    ticket = _ticket(api, visitor)
    beside = running_server(session_database_url, **with_redis)
    with beside as second, ThreadPoolExecutor(8) as pool:
        other = Api(second, api.site, api.other, api.upstream, api.left_upstream)
        tries = pool.map(lambda one: _use(one, ticket).status, [api, other] * 4)
        assert sorted(tries) == [200, *[401] * 7]


def test_a_ticket_is_its_visitor(api: Api, visitor: dict[str, str]) -> None:
    conversation = events_of(_use(api, _ticket(api, visitor)).body)[-2]["conversation_id"]
    path = f"/api/conversations/{conversation}"
    assert api.send("GET", path, None, visitor).status == 200
    query = f"&conversation_id={conversation}"
    assert _use(api, _ticket(api, visitor), query).status == 200
    stranger = api.send("POST", "/api/visitors", {}, api.site.page).json["token"]
    ticket = _ticket(api, api.site.visitor(stranger))
    assert_is_error(_use(api, ticket, query), 404, "conversation_not_found")


def test_a_ticket_has_the_rights_of_its_key(api: Api, visitor: dict[str, str]) -> None:
    for headers in (visitor, api.site.page):
        refused = _use(api, _ticket(api, headers), "&system=x")
        assert_is_error(refused, 400, "not_allowed_for_publishable_key", "system")
    assert _use(api, _ticket(api, api.site.server), "&system=x").status == 200


def test_a_ticket_works_from_its_own_origin_only(api: Api, visitor: dict[str, str]) -> None:
    assert _use(api, _ticket(api, visitor), origin=PAGE_ORIGIN).status == 200
    for origin in (api.other.origin, api.server.url, "null", "https://evil.example.com"):
        refused = _use(api, _ticket(api, visitor), origin=origin)
        assert_is_error(refused, 403, "origin_not_allowed")
    # Also when the request for it named none.
    bare = {"authorization": visitor["authorization"]}
    refused = _use(api, _ticket(api, bare), origin=api.server.url)
    assert_is_error(refused, 403, "origin_not_allowed")
    # A server's ticket names no origin: any of the site's own will do.
    assert _use(api, _ticket(api, api.site.server), origin=PAGE_ORIGIN).status == 200
    refused = _use(api, _ticket(api, api.site.server), origin=api.other.origin)
    assert_is_error(refused, 403, "origin_not_allowed")


def test_a_ticket_is_for_its_own_site(api: Api) -> None:
    mine = events_of(_use(api, _ticket(api, api.site.server)).body)[-2]["conversation_id"]
    ticket = _ticket(api, api.other.server)
    refused = _use(api, ticket, f"&conversation_id={mine}")
    assert_is_error(refused, 404, "conversation_not_found")


@pytest.mark.parametrize("ticket", ["", "tk-unknown", "%00", "x" * 8000, "%F0%9F%98%80"])
def test_an_unknown_ticket_is_401(api: Api, ticket: str) -> None:
    assert_is_error(_use(api, ticket), 401, "invalid_ticket")


def test_an_expired_ticket_is_401_and_removed_by_the_next(
    api: Api, visitor: dict[str, str], session_database_url: str
) -> None:
    ticket = _ticket(api, visitor)
    with psycopg.connect(to_libpq(session_database_url), autocommit=True) as connection:
        connection.execute("UPDATE ticket SET expires_at = now()")
        assert_is_error(_use(api, ticket), 401, "invalid_ticket")
        _ticket(api, visitor)
        left = connection.execute("SELECT min(expires_at) > now() FROM ticket").fetchone()
    assert left == (True,)


def test_a_ticket_is_stored_as_its_hash_only_and_never_logged(
    api: Api, visitor: dict[str, str], session_database_url: str
) -> None:
    ticket = _ticket(api, visitor)
    with psycopg.connect(to_libpq(session_database_url)) as connection:
        rows = connection.execute("SELECT ticket::text FROM ticket").fetchall()
    assert rows
    assert not any(ticket in row[0] for row in rows)
    assert _use(api, ticket).status == 200
    assert _use(api, ticket).status == 401
    assert ticket not in api.server.log
    latency = api.send("GET", "/api/latency", None, api.site.server).body.decode()
    assert f"GET {SIMPLE}" in latency
    assert ticket not in latency


def test_a_ticket_ends_with_its_key(api: Api, session_database_url: str) -> None:
    async def change(revoked: str | None) -> Any:
        database = Database(session_database_url)
        try:
            async with database.begin() as connection:
                if revoked is not None:
                    return await revoke_key(connection, revoked)
                return await create_key(connection, api.site.site_id, "site")
        finally:
            await database.aclose()

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(asyncio.run, change(None)).result()
    headers = SiteKeys(api.site.site_id, made.value, "", PAGE_ORIGIN).server
    tickets = [_ticket(api, headers) for _ in range(100)]
    assert _use(api, tickets.pop()).status == 200
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, change(made.key.id)).result()
    poll(lambda: _use(api, tickets.pop()).status == 401, timeout_s=1.5)


@pytest.mark.parametrize("path", [1, "", "/v1/chat/completions", "/api/chat/stream/", None])
def test_a_ticket_is_for_streams_only(api: Api, path: object) -> None:
    reply = api.send("POST", TICKETS, {"path": path}, api.site.server)
    assert_is_error(reply, 400, param="path")
