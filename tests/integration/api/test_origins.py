"""From where each key may be used, and what a browser is told about it."""

from __future__ import annotations

import pytest
from tests.integration.api.client import (
    CHAT,
    OTHER_ORIGIN,
    PAGE_ORIGIN,
    Api,
    Reply,
    assert_is_error,
    question,
)

_ALLOWED_HEADERS = {
    "authorization",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "x-sitebrook-resume",
}
_EXPOSED_HEADERS = {"x-request-id", "x-answer-id", "retry-after"}
_FOREIGN = ["https://evil.example.com", "null", f"{PAGE_ORIGIN}.evil.com", f"{PAGE_ORIGIN}:444"]


def _listed(reply: Reply, name: str) -> set[str]:
    return {part.strip().lower() for part in reply.headers[name].split(",")}


def _preflight(api: Api, origin: str, path: str = CHAT, headers: str = "authorization") -> Reply:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": headers,
    }
    return api.send("OPTIONS", path, None, asked)


def _assert_readable_from(reply: Reply, origin: str) -> None:
    given = [value for name, value in reply.all_headers if name == "access-control-allow-origin"]
    assert given == [origin]
    assert "origin" in _listed(reply, "vary")
    assert _listed(reply, "access-control-expose-headers") >= _EXPOSED_HEADERS
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("origin", [PAGE_ORIGIN, OTHER_ORIGIN])
@pytest.mark.parametrize("path", [CHAT, "/api/visitors", "/api/conversations/conv_x"])
def test_a_preflight_is_answered_if_any_site_allows_the_origin(
    api: Api, origin: str, path: str
) -> None:
    wanted = "authorization, content-type, x-stainless-os, X-Stainless-Retry-Count, x-evil"
    reply = _preflight(api, origin, path, wanted)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == origin
    assert _listed(reply, "access-control-allow-methods") >= {"get", "post", "delete"}
    assert _listed(reply, "access-control-allow-headers") == _ALLOWED_HEADERS | {
        "x-stainless-os",
        "x-stainless-retry-count",
    }
    assert "origin" in _listed(reply, "vary")


@pytest.mark.parametrize("origin", _FOREIGN)
def test_a_preflight_from_an_unknown_origin_allows_nothing(api: Api, origin: str) -> None:
    reply = _preflight(api, origin)
    assert reply.status == 204
    assert not any(name.startswith("access-control-") for name in reply.headers)
    assert "origin" in _listed(reply, "vary")


@pytest.mark.parametrize("streams", [True, False])
def test_an_answer_can_be_read_from_the_origin_that_asked(api: Api, *, streams: bool) -> None:
    asked = question("hello", stream=streams)
    del asked["model"]
    reply = api.send("POST", CHAT, asked, api.site.page)
    assert reply.status == 200
    _assert_readable_from(reply, PAGE_ORIGIN)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", CHAT, 400), ("GET", "/nowhere", 404), ("PUT", CHAT, 405)],
)
def test_an_error_can_be_read_from_an_allowed_origin(
    api: Api, method: str, path: str, status: int
) -> None:
    reply = api.send(method, path, {}, api.site.page)
    assert_is_error(reply, status)
    _assert_readable_from(reply, PAGE_ORIGIN)


def test_a_public_file_allows_every_origin_once(api: Api) -> None:
    for origin in (PAGE_ORIGIN, "https://anyone.example.com"):
        reply = api.send("GET", "/static/widget-panel.js", None, {"origin": origin})
        given = [value for name, value in reply.all_headers if "allow-origin" in name]
        assert (reply.status, given) == (200, ["*"])


@pytest.mark.parametrize("origin", [*_FOREIGN, OTHER_ORIGIN])
@pytest.mark.parametrize("kind", ["page", "server"])
def test_a_key_is_refused_from_a_foreign_origin(api: Api, origin: str, kind: str) -> None:
    key = getattr(api.site, kind)["authorization"]
    headers = {"authorization": key, "origin": origin}
    reply = api.send("POST", CHAT, {"messages": [{"role": "user", "content": "hello"}]}, headers)
    assert_is_error(reply, 403, "origin_not_allowed")
    # Another site's page may read the refusal; who nobody knows may not.
    expected = origin if origin == OTHER_ORIGIN else None
    assert reply.headers.get("access-control-allow-origin") == expected
    assert "origin" in _listed(reply, "vary")


@pytest.mark.parametrize("kind", ["page", "server"])
def test_the_servers_own_origin_always_works(api: Api, kind: str) -> None:
    headers = {**getattr(api.site, kind), "origin": api.server.url}
    asked = {"messages": [{"role": "user", "content": "hello"}]}
    assert api.send("POST", CHAT, asked, headers).status == 200


def test_a_secret_key_works_from_its_sites_origin(api: Api) -> None:
    reply = api.ask("hello", {**api.site.server, "origin": PAGE_ORIGIN})
    assert reply.status == 200


def test_a_publishable_key_needs_an_origin(api: Api) -> None:
    key = {"authorization": f"Bearer {api.site.publishable_key}"}
    assert_is_error(api.ask("hello", key), 403, "origin_required")
    read = api.send("GET", "/api/conversations/conv_x", None, key)
    assert_is_error(read, 403, "origin_required")
