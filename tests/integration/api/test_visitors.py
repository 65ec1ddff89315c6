"""Visitors of a site's pages: their tokens and their conversations."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.integration.api.client import (
    CHAT,
    PAGE_ORIGIN,
    Api,
    Reply,
    SiteKeys,
    assert_is_error,
    poll,
)

from sitebrook.access.keys import create_key, revoke_key
from sitebrook.access.tokens import (
    RENEWAL_LIFETIME,
    TOKEN_LIFETIME,
    VisitorToken,
    load_signing_secrets,
    to_token,
)
from sitebrook.db.engine import Database


def _mint(api: Api, site: SiteKeys | None = None, token: str | None = None) -> dict[str, Any]:
    body = {} if token is None else {"token": token}
    reply = api.send("POST", "/api/visitors", body, (site or api.site).page)
    assert reply.status == 201, reply
    return reply.json


def _ask(api: Api, headers: dict[str, str], text: str = "hello", **over: object) -> Reply:
    asked = {"messages": [{"role": "user", "content": text}], **over}
    return api.send("POST", CHAT, asked, headers)


def _payload(token: str) -> dict[str, Any]:
    text = token.removeprefix("vt-").partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


async def _sign(url: str, facts: dict[str, Any]) -> str:
    """A token as the server would have signed it."""
    database = Database(url)
    try:
        secrets = await load_signing_secrets(database)
    finally:
        await database.aclose()
    secret = next(one for one in secrets if one.id == facts["secret_id"])
    return to_token(VisitorToken(**facts), secret)


def test_a_token_is_minted_with_the_texts_of_the_site(api: Api) -> None:
    visitor = _mint(api)
    assert visitor["visitor_id"].startswith("vis_")
    assert visitor["site"] == {"name": "Shop", "language": "en", "greeting": "", "starters": []}
    left = datetime.fromisoformat(visitor["expires_at"]).timestamp() - time.time()
    assert left == pytest.approx(TOKEN_LIFETIME.total_seconds(), abs=60)
    assert _payload(visitor["token"])["origin"] == PAGE_ORIGIN
    assert _mint(api)["visitor_id"] != visitor["visitor_id"]
    assert api.send("POST", "/api/visitors", b"", api.site.page).status == 201


def test_only_a_publishable_key_from_a_page_mints(api: Api) -> None:
    token = _mint(api)["token"]
    for headers in (api.site.server, api.site.visitor(token)):
        assert_is_error(api.send("POST", "/api/visitors", {}, headers), 403)
    bare = {"authorization": f"Bearer {api.site.publishable_key}"}
    assert_is_error(api.send("POST", "/api/visitors", {}, bare), 403, "origin_required")
    assert_is_error(api.send("POST", "/api/visitors", {}), 401, "missing_api_key")


def test_a_token_renews_its_visitor(api: Api) -> None:
    first = _mint(api)
    assert _mint(api, token=first["token"])["visitor_id"] == first["visitor_id"]


def test_a_token_of_another_site_or_origin_renews_nobody(api: Api) -> None:
    foreign = _mint(api, api.other)
    assert _mint(api, token=foreign["token"])["visitor_id"] != foreign["visitor_id"]
    elsewhere = {**api.site.page, "origin": api.server.url}
    mine = _mint(api)
    body = {"token": mine["token"]}
    reply = api.send("POST", "/api/visitors", body, elsewhere)
    assert reply.json["visitor_id"] != mine["visitor_id"]
    assert _mint(api, token="vt-nonsense")["visitor_id"]


def test_a_visitor_asks_and_reads_the_own_conversation(api: Api) -> None:
    headers = api.site.visitor(_mint(api)["token"])
    first = _ask(api, headers).json
    second = _ask(api, headers, "thanks", conversation_id=first["conversation_id"]).json
    assert second["conversation_id"] == first["conversation_id"]
    path = f"/api/conversations/{first['conversation_id']}"
    found = api.send("GET", path, None, headers).json
    assert [one["content"] for one in found["messages"]][::2] == ["hello", "thanks"]
    # A browser sends no Origin with a GET to the page's own origin.
    del headers["origin"]
    assert api.send("GET", path, None, headers).json == found
    assert api.send("GET", path, None, api.site.server).json == found


def test_another_visitors_conversation_is_as_unknown_as_one_that_never_was(api: Api) -> None:
    mine = api.site.visitor(_mint(api)["token"])
    ids = [_ask(api, mine).json["conversation_id"], "conv_" + "0" * 22]
    foreign = api.site.visitor(_mint(api)["token"])
    asked = [_ask(api, foreign, conversation_id=one) for one in ids]
    read = [api.send("GET", f"/api/conversations/{one}", None, foreign) for one in ids]
    for found, never in (asked, read):
        assert_is_error(found, 404, "conversation_not_found")
        assert found.body == never.body


def test_a_publishable_key_alone_asks_but_cannot_continue(api: Api) -> None:
    first = _ask(api, api.site.page)
    assert first.status == 200
    conversation = first.json["conversation_id"]
    again = _ask(api, api.site.page, conversation_id=conversation)
    assert_is_error(again, 400, param="conversation_id")
    read = api.send("GET", f"/api/conversations/{conversation}", None, api.site.page)
    assert_is_error(read, 404, "conversation_not_found")


def test_a_token_works_from_its_own_origin_only(api: Api) -> None:
    token = _mint(api)["token"]
    for origin in (api.other.origin, api.server.url, "null", "https://evil.example.com"):
        headers = {**api.site.visitor(token), "origin": origin}
        assert_is_error(_ask(api, headers), 403, "origin_not_allowed")


def test_a_tampered_token_is_refused(api: Api) -> None:
    token = _mint(api)["token"]
    payload, _, signature = token.removeprefix("vt-").partition(".")
    facts = {**_payload(token), "visitor_id": "vis_somebody"}
    forged = base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for text in (
        f"{forged}.{signature}",
        f"{payload}.{flipped}",
        f"{payload}.",
        payload,
        f"{payload}.{signature}x",
        "",
        ".",
        "a" * 4000,
    ):
        reply = _ask(api, api.site.visitor(f"vt-{text}"))
        assert_is_error(reply, 401, "invalid_visitor_token")


def test_an_expired_token_is_refused_but_renews_for_ninety_days(
    api: Api, session_database_url: str
) -> None:
    visitor = _mint(api)
    facts = _payload(visitor["token"])
    for age, is_same in ((timedelta(minutes=1), True), (RENEWAL_LIFETIME * 1.01, False)):
        expired = {**facts, "expires": int(time.time() - age.total_seconds())}
        token = asyncio.run(_sign(session_database_url, expired))
        assert_is_error(_ask(api, api.site.visitor(token)), 401, "visitor_token_expired")
        renewed = _mint(api, token=token)
        assert (renewed["visitor_id"] == visitor["visitor_id"]) is is_same


def test_another_sites_visitor_finds_nothing_of_ours(api: Api) -> None:
    mine = _ask(api, api.site.visitor(_mint(api)["token"])).json["conversation_id"]
    foreign = api.other.visitor(_mint(api, api.other)["token"])
    assert_is_error(api.send("GET", f"/api/conversations/{mine}", None, foreign), 404)


def test_a_revoked_key_ends_itself_and_its_tokens_within_a_second(
    api: Api, session_database_url: str
) -> None:
    async def change(revoked: str | None) -> str:
        database = Database(session_database_url)
        try:
            async with database.begin() as connection:
                if revoked is not None:
                    return (await revoke_key(connection, revoked)).id
                return (await create_key(connection, api.site.site_id, "publishable")).value
        finally:
            await database.aclose()

    value = asyncio.run(change(None))
    own = SiteKeys(api.site.site_id, "", value, PAGE_ORIGIN)
    token = _mint(api, own)["token"]
    assert _ask(api, own.visitor(token)).status == 200
    asyncio.run(change(_payload(token)["key_id"]))
    poll(lambda: _ask(api, own.visitor(token)).status == 401, timeout_s=1.5)
    poll(lambda: _ask(api, own.page).status == 401, timeout_s=1.5)
    assert_is_error(_ask(api, own.page), 401, "invalid_api_key")


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"model": "gpt-4o"}, "model"),
        ({"retrieval": {"off": True}}, "retrieval"),
        ({"temperature": 0.0}, "temperature"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "developer", "content": "y"}]},
            "messages[1].role",
        ),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages[0].role"),
    ],
)
def test_a_page_may_not_set_what_is_the_sites(api: Api, over: dict[str, Any], param: str) -> None:
    visitor = api.site.visitor(_mint(api)["token"])
    asked = {"messages": [{"role": "user", "content": "hello"}], **over}
    for keys in (api.site.page, visitor):
        reply = api.send("POST", CHAT, asked, keys)
        assert_is_error(reply, 400, "not_allowed_for_publishable_key", param)
