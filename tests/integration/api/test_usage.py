"""Tokens and costs, from the provider's count to the sums over a site."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio
from tests.factories import make_key, make_site
from tests.fakes.openai_scripts import STOP, USAGE, chunk_of, playing
from tests.integration.api.client import PAGE_ORIGIN, Api, apoll, assert_is_error, events_of

from sitebrook.db.engine import Database

pytestmark = pytest.mark.asyncio(loop_scope="session")

_OFF = {"retrieval": {"off": True}}
_NORMAL_COST = 0.00000405  # 7 tokens at 0.15 and 5 at 0.6, per million
_SUMS = {
    "answers",
    "interrupted",
    "estimated",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "without_tokens",
    "cost",
    "without_cost",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keys(session_database_url: str) -> dict[str, dict[str, str]]:
    """Headers by name: of two sites' servers, of an admin, and of a page of the first site."""

    database = Database(session_database_url)
    one = await make_site(database, name="Costs", allowed_origins=(PAGE_ORIGIN,))
    two = await make_site(database, name="Other costs")
    made = {
        "one": await make_key(database, one),
        "two": await make_key(database, two),
        "admin": await make_key(database, one, "admin"),
        "page": await make_key(database, one, "publishable"),
    }
    await database.aclose()
    found = {name: {"authorization": f"Bearer {key.value}"} for name, key in made.items()}
    found["page"]["origin"] = PAGE_ORIGIN
    return found


async def _usage(api: Api, headers: dict[str, str], query: str = "") -> Any:
    reply = await api.asend("GET", f"/api/usage{query}", None, headers)
    assert reply.status == 200, reply.body
    return reply.json


async def _ask(api: Api, headers: dict[str, str], model: str, **over: object) -> Any:
    reply = await asyncio.to_thread(api.ask, "Hello?", headers, model=model, **_OFF, **over)
    assert reply.status == 200, reply.body
    return reply.json["usage"]


def _row(usage: Any, model: str) -> dict[str, Any]:
    [row] = [one for one in usage["data"] if one["model"] == model]
    return row


async def test_what_the_provider_counted_is_priced(
    api: Api, keys: dict[str, dict[str, str]]
) -> None:
    whole = await _ask(api, keys["two"], "up/normal")
    reply = await asyncio.to_thread(
        api.ask,
        "Hello?",
        keys["two"],
        model="up/normal",
        stream=True,
        stream_options={"include_usage": True},
        **_OFF,
    )
    for usage in (whole, events_of(reply.body)[-2]["usage"]):
        assert usage == {**USAGE, "estimated": False, "cost": _NORMAL_COST}


async def test_the_price_is_that_of_the_step_which_answered(
    api: Api, keys: dict[str, dict[str, str]]
) -> None:
    assert (await _ask(api, keys["two"], "routed"))["cost"] == _NORMAL_COST


async def test_an_estimate_is_marked_and_priced(api: Api, keys: dict[str, dict[str, str]]) -> None:
    usage = await _ask(api, keys["two"], "uncounted")
    assert usage["estimated"] is True
    assert usage["completion_tokens"] > 0
    expected = (usage["prompt_tokens"] + 2 * usage["completion_tokens"]) / 1_000_000
    assert usage["cost"] == pytest.approx(expected, rel=1e-12)


async def test_an_unknown_price_is_null(api: Api, keys: dict[str, dict[str, str]]) -> None:
    assert (await _ask(api, keys["two"], "mock"))["cost"] is None


async def test_cached_and_reasoning_tokens_are_passed_on(
    api: Api, keys: dict[str, dict[str, str]]
) -> None:
    told = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    strange = {**USAGE, "prompt_tokens_details": ["x"], "completion_tokens_details": None}
    for name, sent in (("details", told), ("strange-details", strange)):
        payloads = [chunk_of({"content": "Hi"}), STOP, {"choices": [], "usage": sent}, "[DONE]"]
        api.upstream.scripts[name] = playing(payloads)
    usage = await _ask(api, keys["two"], "up/details")
    assert usage["prompt_tokens_details"] == {"cached_tokens": 4}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}
    assert (await _usage(api, keys["two"]))["totals"]["cached_tokens"] == 4
    plain = await _ask(api, keys["two"], "up/strange-details")
    assert plain == {**USAGE, "estimated": False, "cost": None}


async def test_a_visitor_sees_no_money(api: Api, keys: dict[str, dict[str, str]]) -> None:
    token = (await api.asend("POST", "/api/visitors", {}, keys["page"])).json["token"]
    visitor = {"authorization": f"Bearer {token}", "origin": PAGE_ORIGIN}
    asked = {"messages": [{"role": "user", "content": "hello"}]}
    for headers in (visitor, keys["page"]):
        whole = await api.asend("POST", "/v1/chat/completions", asked, headers)
        streamed = await api.asend(
            "POST",
            "/v1/chat/completions",
            {**asked, "stream": True, "stream_options": {"include_usage": True}},
            headers,
        )
        for body in (whole.json, events_of(streamed.body)[-2]):
            assert body["usage"]["total_tokens"] > 0
            assert "cost" not in body["usage"]
        assert_is_error(
            await api.asend("GET", "/api/usage", None, headers), 403, "secret_key_required"
        )


async def test_a_site_s_answers_add_up(api: Api, keys: dict[str, dict[str, str]]) -> None:
    headers = keys["one"]
    before = (await _usage(api, headers))["totals"]
    for model in ("up/normal", "up/normal", "routed", "up/no-usage"):
        await _ask(api, headers, model)
    broken = await asyncio.to_thread(api.ask, "Hello?", headers, model="cut", stream=True, **_OFF)
    assert "error" in events_of(broken.body)[-1]
    await _ask(api, headers, "up/normal", store=False)  # not stored, not counted
    usage = await apoll(lambda: _with_answers(api, headers, before["answers"] + 5))

    normal = _row(usage, "up/normal")
    assert {one for one in normal if one in _SUMS} == _SUMS
    assert (normal["answers"], normal["prompt_tokens"], normal["completion_tokens"]) == (2, 14, 10)
    assert (normal["cost"], normal["estimated"], normal["without_cost"]) == (2 * _NORMAL_COST, 0, 0)
    assert (normal["provider"], normal["site_name"], normal["day"]) == ("up", "Costs", None)
    assert _row(usage, "routed")["cost"] == _NORMAL_COST
    unknown = _row(usage, "up/no-usage")
    assert (unknown["cost"], unknown["without_cost"], unknown["estimated"]) == (None, 1, 1)
    cut = _row(usage, "cut")
    assert (cut["interrupted"], cut["estimated"], cut["without_cost"]) == (1, 1, 0)
    assert cut["cost"] > 0
    totals = usage["totals"]
    assert set(totals) == _SUMS
    known = 3 * _NORMAL_COST + cut["cost"]
    assert totals["cost"] == pytest.approx(known, rel=1e-12)
    assert (totals["interrupted"], totals["without_cost"]) == (1, before["without_cost"] + 1)


async def _with_answers(api: Api, headers: dict[str, str], count: int) -> Any:
    usage = await _usage(api, headers)
    return usage if usage["totals"]["answers"] == count else None


async def test_a_site_sees_its_own_usage_and_an_admin_all(
    api: Api, keys: dict[str, dict[str, str]]
) -> None:
    for name in ("one", "two"):
        await _ask(api, keys[name], "up/normal")
    own = await _usage(api, keys["one"])
    assert {row["site_name"] for row in own["data"]} == {"Costs"}
    every = await _usage(api, keys["admin"])
    assert {"Costs", "Other costs"} <= {row["site_name"] for row in every["data"]}
    site_id = own["data"][0]["site"]
    for query in (f"?site={site_id}", "?site=Costs"):
        for who in ("one", "admin"):
            assert (await _usage(api, keys[who], query))["totals"]["answers"] >= 1
    other = await _usage(api, keys["admin"], "?site=Other%20costs")
    assert {row["site_name"] for row in other["data"]} == {"Other costs"}
    for who, name in (("two", site_id), ("two", "Costs"), ("one", "x%00"), ("admin", "nothing")):
        reply = await api.asend("GET", f"/api/usage?site={name}", None, keys[who])
        assert_is_error(reply, 404, "site_not_found", "site")


async def test_a_span_of_time_and_days_can_be_asked_for(
    api: Api, keys: dict[str, dict[str, str]]
) -> None:
    await _ask(api, keys["one"], "up/normal")
    by_day = await _usage(api, keys["one"], "?by=day")
    assert all(row["day"] in by_day["until"] for row in by_day["data"][-1:])
    assert by_day["totals"]["answers"] >= 1
    past = await _usage(api, keys["one"], "?since=2020-01-01&until=2020-02-01T00:00:00%2B02:00")
    assert (past["since"], past["until"]) == ("2020-01-01T00:00:00Z", "2020-01-31T22:00:00Z")
    assert (past["data"], past["totals"]["answers"], past["totals"]["cost"]) == ([], 0, 0)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("?since=yesterday", "since"),
        ("?until=2026-13-01", "until"),
        ("?since=2026-02-01&until=2026-01-01", "since"),
        ("?since=2020-01-01&until=2026-01-01&by=day", "since"),
        ("?since=0001-01-01T00:00:00%2B05:00", "since"),
        ("?until=0001-01-02", "until"),
        ("?by=hour", "by"),
    ],
)
async def test_a_span_that_is_none_is_refused(
    api: Api, keys: dict[str, dict[str, str]], query: str, param: str
) -> None:
    assert_is_error(
        await api.asend("GET", f"/api/usage{query}", None, keys["one"]), 400, param=param
    )
