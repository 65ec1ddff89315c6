"""How often an upstream that fails is asked, and what is asked after it."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.openai_scripts import TEXT
from tests.integration.api.client import assert_is_error, events_of, text_of
from tests.integration.faults.asking import Faulty

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Three attempts are allowed, and none that would begin after 2.5 s.
_ASKED = {
    "500": 3,
    "529": 3,
    "500-html": 3,
    "html-200": 3,
    "empty-200": 3,
    "bad-json-first": 3,
    "cut-after-head": 3,
    "reset-first": 3,
    "400": 1,
    "401": 1,
    "402": 1,
    "404": 1,
    "too-long": 1,
    "redirect-307": 1,
    "503-seconds": 1,
    "truncated": 1,
    "reset": 1,
    "bad-json": 1,
    "delta-and-bad-json": 1,
    "normal": 1,
    "finish-then-reset": 1,
}

_NEXT = "/v1/messages"


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "json"])
@pytest.mark.parametrize("wire", ["openai", "claude"])
async def test_a_fault_is_tried_again_only_before_the_first_delta(
    patient: Faulty, wire: str, *, streams: bool
) -> None:
    async def ask(mode: str) -> tuple[str, int]:
        text = f"again {wire} {mode} {streams}?"
        seen = await patient.ask(f"{wire}/{mode}", text, stream=streams)
        return mode, len(seen.exchanges)

    assert dict(await asyncio.gather(*map(ask, _ASKED))) == _ASKED


async def test_a_used_up_account_is_asked_once(patient: Faulty) -> None:
    for mode in ("quota", "error-first"):
        seen = await patient.ask(f"openai/{mode}", f"used up {mode}?")
        assert_is_error(seen.reply, 502, "insufficient_quota")
        assert len(seen.exchanges) == 1


async def test_the_next_of_the_route_answers_in_place_of_one_that_fails(patient: Faulty) -> None:
    seen = await patient.ask("falls-back", "falls back?", stream=True)
    *chunks, done = events_of(seen.reply.body)
    assert (text_of(chunks), done) == (TEXT, "[DONE]")
    assert [one.request.path for one in seen.exchanges] == [*["/v1/chat/completions"] * 2, _NEXT]


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "json"])
async def test_an_answer_is_never_spliced_from_two_providers(
    patient: Faulty, *, streams: bool
) -> None:
    text = f"spliced {streams}?"
    seen = await patient.ask("cut-before-next", text, stream=streams)
    assert [one.request.path for one in seen.exchanges] == ["/v1/chat/completions"]
    if streams:
        *chunks, last = events_of(seen.reply.body)
        assert text_of(chunks) == "Hello, wörld"
        assert last["error"]["code"] == "provider_broke_off"
    else:
        assert_is_error(seen.reply, 502, "provider_broke_off")


async def test_an_answer_that_broke_off_is_asked_anew(faulty: Faulty) -> None:
    for count in (1, 2, 3):
        seen = await faulty.ask("openai/truncated", "asked anew?", stream=True)
        assert "error" in events_of(seen.reply.body)[-1]
        assert len(seen.exchanges) == count
    seen = await faulty.ask("openai/normal", "asked anew?", stream=True)
    assert text_of(events_of(seen.reply.body)[:-1]) == TEXT
    assert len(seen.exchanges) == 4
