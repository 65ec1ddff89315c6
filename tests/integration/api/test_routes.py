"""Retries, fallback, rests and bounds as a caller and an operator see them, with real servers."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from tests.fakes.openai_scripts import SECRET, TEXT
from tests.fakes.upstream import SCRIPTS, Exchange, FakeUpstream, Script
from tests.integration.api.client import (
    CHAT,
    Api,
    Reply,
    SiteKeys,
    apoll,
    assert_is_error,
    events_of,
    question,
    text_of,
)
from tests.servers import running_server

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHIN_S = 1.0
REST_S = 0.4
_CONFIG = """
[upstream]
attempts_within_s = {within_s}
retry_pause_s = 0.01
first_delta_timeout_s = 0.2
idle_timeout_s = 0.3
breaker_failures = 0

[[providers]]
name = "first"
base_url = "{first}"
breaker_max_rest_s = 0

[[providers]]
name = "slow"
base_url = "{first}"
first_delta_timeout_s = 1.2

[[providers]]
name = "second"
base_url = "{second}"

[[providers]]
name = "fragile"
base_url = "{first}"
breaker_failures = 3
breaker_rest_s = {rest_s}

[[providers]]
name = "narrow"
base_url = "{first}"
max_concurrency = 1
queue_timeout_s = 0.1
first_delta_timeout_s = 5
idle_timeout_s = 5

[[providers]]
name = "brief"
base_url = "{first}"
total_timeout_s = 0.4
"""
_MODELS = {
    "single": ("first/case",),
    "pair": ("first/case", "second/case"),
    "slow-pair": ("slow/case", "second/case"),
    "fragile": ("fragile/case",),
    "fragile-pair": ("fragile/case", "second/case"),
    "narrow": ("narrow/case",),
    "narrow-pair": ("narrow/case", "second/case"),
    "brief": ("brief/case",),
    "mixed": ("mock/mock", "second/case"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair() -> AsyncIterator[tuple[FakeUpstream, FakeUpstream]]:
    async with FakeUpstream() as first, FakeUpstream() as second:
        yield first, second


@pytest.fixture(scope="module")
def routed(
    session_database_url: str,
    sites: tuple[SiteKeys, SiteKeys],
    pair: tuple[FakeUpstream, FakeUpstream],
    tmp_path_factory: pytest.TempPathFactory,
    with_redis: dict[str, str],
) -> Iterator[Api]:
    """A server with routes over two upstreams; its clocks are short by ``[upstream]``."""
    config = tmp_path_factory.mktemp("routes") / "sitebrook.toml"
    first, second = (one.base_url for one in pair)
    text = _CONFIG.format(first=first, second=second, within_s=WITHIN_S, rest_s=REST_S)
    for name, route in _MODELS.items():
        text += f'\n[[models]]\nid = "{name}"\nroute = {json.dumps(route)}\n'
    config.write_text(text, "utf-8")
    env = {"SITEBROOK_CONFIG": str(config), **with_redis}
    with running_server(session_database_url, **env) as server:
        yield Api(server, *sites, *pair)


@pytest.fixture
def api(routed: Api) -> Api:
    """The server before a test: nothing asked yet, the second upstream answers."""
    for one in (routed.upstream, routed.left_upstream):
        one.requests.clear()
    routed.left_upstream.scripts["case"] = SCRIPTS["normal"]
    return routed


async def ask(api: Api, model: str, script: str | Script | None = None, **over: object) -> Reply:
    """The reply to a question whose first upstream plays the script."""
    if script is not None:
        play = SCRIPTS[script] if isinstance(script, str) else script
        api.upstream.scripts["case"] = play
    asked = question("Hello?", model=model, retrieval={"off": True}, **over)
    return await api.asend("POST", CHAT, asked, api.site.server)


def counts(api: Api) -> tuple[int, int]:
    """How many requests each upstream got."""
    return len(api.upstream.requests), len(api.left_upstream.requests)


def text_in(reply: Reply) -> str:
    """The text of a plain answer."""
    assert reply.status == 200, reply
    return reply.json["choices"][0]["message"]["content"]


async def health(api: Api, provider: str) -> tuple[str, dict[str, object]]:
    """The status of the server, and what it says of one provider."""
    reply = await api.asend("GET", "/health/ready")
    assert reply.status == 200
    (found,) = (one for one in reply.json["providers"] if one["name"] == provider)
    return reply.json["status"], found


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(
    ("script", "tries"),
    [
        ("500", 2),
        ("reset-after-head", 2),
        ("html", 2),
        ("empty", 2),
        ("error-body-stalls", 1),
        ("never-headers", 1),
        ("never-first", 1),
        ("429", 1),
        ("401", 1),
        ("quota", 1),
        ("404", 1),
    ],
)
async def test_a_first_provider_that_fails_is_not_noticed(
    api: Api, script: str, tries: int, *, streams: bool
) -> None:
    reply = await ask(api, "pair", script, stream=streams)
    text = text_of(events_of(reply.body)) if streams else text_in(reply)
    assert text == TEXT
    assert counts(api) == (tries, 1)
    assert b'"error"' not in reply.body


@pytest.mark.parametrize("model", ["single", "pair"])
@pytest.mark.parametrize("script", ["500", "reset-after-head", "html"])
async def test_at_most_three_requests_go_upstream(api: Api, model: str, script: str) -> None:
    api.left_upstream.scripts["case"] = SCRIPTS[script]
    assert (await ask(api, model, script)).status == 502
    assert sum(counts(api)) == 3


async def test_no_attempt_begins_after_its_time(api: Api) -> None:
    began = time.monotonic()
    reply = await ask(api, "slow-pair", "never-first")
    assert_is_error(reply, 504, "provider_timeout")
    assert time.monotonic() - began > WITHIN_S
    assert counts(api) == (1, 0)


async def test_a_retry_after_is_waited_for_when_it_fits(api: Api) -> None:
    count = itertools.count()

    async def limited(exchange: Exchange) -> None:
        if next(count):
            await SCRIPTS["normal"](exchange)
        else:
            await exchange.whole(429, "application/json", b"{}", retry_after="0.5")

    began = time.monotonic()
    assert text_in(await ask(api, "single", limited)) == TEXT
    assert time.monotonic() - began >= 0.5
    assert counts(api)[0] == 2


async def test_a_retry_after_that_does_not_fit_is_the_callers(api: Api) -> None:
    reply = await ask(api, "single", "429-seconds")
    assert_is_error(reply, 502, "provider_error")
    assert reply.headers["retry-after"] == "7"
    assert counts(api)[0] == 1


async def test_a_provider_that_rests_is_shown_and_refuses_at_once(api: Api) -> None:
    assert await health(api, "fragile") == (
        "ok",
        {"name": "fragile", "state": "closed", "rests_s": 0.0},
    )
    assert_is_error(await ask(api, "fragile", "500"), 502, "provider_error")
    status, found = await health(api, "fragile")
    assert (status, found["state"]) == ("degraded", "open")
    assert 0 < float(str(found["rests_s"])) <= REST_S
    metrics = (await api.asend("GET", "/metrics")).body.decode()
    assert 'sitebrook_breaker_state{provider="fragile",state="open"} 1' in metrics
    refused = await ask(api, "fragile")
    assert_is_error(refused, 503, "provider_resting")
    assert refused.headers["retry-after"] == "1"
    assert "x-should-retry" not in refused.headers
    assert text_in(await ask(api, "fragile-pair")) == TEXT
    assert counts(api) == (3, 1)
    await asyncio.sleep(REST_S)
    assert text_in(await ask(api, "fragile", "normal")) == TEXT
    assert (await health(api, "fragile"))[0] == "ok"

    async def are_logged() -> bool:
        changes = [one["state"] for one in api.server.log_lines if one.get("state")]
        return changes == ["open", "half_open", "closed"]

    assert await apoll(are_logged, timeout_s=2)


async def test_a_full_provider_is_passed_over_until_its_caller_leaves(api: Api) -> None:
    api.upstream.scripts["case"] = SCRIPTS["stall"]
    asked = json.dumps(question("Hello?", model="narrow", retrieval={"off": True}, stream=True))
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {api.site.secret_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(asked)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(head.encode() + asked.encode())
    await reader.readuntil(b'"content":"Hello"')
    assert_is_error(await ask(api, "narrow"), 503, "provider_busy")
    assert text_in(await ask(api, "narrow-pair")) == TEXT
    assert counts(api) == (1, 1)
    writer.close()
    await writer.wait_closed()

    async def is_free() -> bool:
        return (await ask(api, "narrow", "normal")).status == 200

    assert await apoll(is_free, timeout_s=2)


async def test_a_place_is_free_again_after_each_end(api: Api) -> None:
    for script in ("truncated", "reset", "normal", "401", "html"):
        reply = await ask(api, "narrow", script)
        assert reply.status != 503, script


async def test_a_parameter_that_one_provider_lacks_is_served_by_the_next(api: Api) -> None:
    reply = await ask(api, "mixed", logprobs=True)
    assert text_in(reply) == TEXT
    assert api.left_upstream.requests[0].json["logprobs"] is True


async def test_the_clocks_of_an_answer_are_settings(api: Api) -> None:
    reply = await ask(api, "single", "stall", stream=True)
    assert "fell silent for 0.3 s" in events_of(reply.body)[-1]["error"]["message"]
    reply = await ask(api, "brief", "never-ending", stream=True)
    assert "did not end its answer in 0.4 s" in events_of(reply.body)[-1]["error"]["message"]


async def test_failed_attempts_are_logged_without_the_upstreams_text(api: Api) -> None:
    request_id = (await ask(api, "single", "401")).headers["x-request-id"]

    async def read() -> list[dict[str, object]]:
        return [
            one
            for one in api.server.log_lines
            if one.get("request_id") == request_id and "upstream_model" in one
        ]

    (line,) = await apoll(read, timeout_s=2)  # the log is written behind the answer
    assert (line["provider"], line["upstream_model"]) == ("first", "case")
    assert (line["outcome"], line["status"]) == ("refused", 401)
    assert SECRET not in api.server.log
