"""Every mode of the fake upstream, streamed and as JSON, and the promise that holds."""

from __future__ import annotations

import asyncio
import traceback

import pytest
from tests.fakes import upstream
from tests.fakes.upstream import SCRIPTS
from tests.integration.faults import checks
from tests.integration.faults.asking import Faulty
from tests.integration.faults.promises import WIRES, Promise, Refused

_AT_ONCE = 20
_PREFIX = {"openai": "", "claude": "messages:"}
_PATHS = ("/v1/chat/completions", "/v1/messages")
_NO_ANSWERS = {"models", "embeddings"}


def _registered(wire: str) -> set[str]:
    prefix = _PREFIX[wire]
    names = {name.removeprefix(prefix) for name in SCRIPTS if name.startswith(prefix)}
    return {name for name in names if ":" not in name} - _NO_ANSWERS


@pytest.mark.parametrize("wire", WIRES)
def test_every_mode_has_its_promise(wire: str) -> None:
    assert set(WIRES[wire]) == _registered(wire)
    assert len(WIRES[wire]) >= 40


def test_every_mode_is_listed() -> None:
    both, openai, claude = (
        set(section.partition("wire")[2].partition(":")[2].split())
        for section in (upstream.__doc__ or "").split("\nModes of ")[1:]
    )
    assert both | openai == _registered("openai")
    assert both | claude == _registered("claude")
    assert not (openai & claude)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "json"])
@pytest.mark.parametrize("wire", WIRES)
async def test_every_promise_holds(faulty: Faulty, wire: str, *, streams: bool) -> None:
    at_once = asyncio.Semaphore(_AT_ONCE)
    broken: dict[str, str] = {}
    modes = WIRES[wire]
    texts = {mode: f"{wire} {mode} {streams}?" for mode in modes}

    async def check(mode: str, promise: Promise) -> None:
        async with at_once:
            text = texts[mode]
            over = {"stream": True, "stream_options": {"include_usage": True}} if streams else {}
            asks = getattr(promise, "asks", {})
            model = f"{promise.via}-{wire}/{mode}" if promise.via else f"{wire}/{mode}"
            seen = await faulty.ask(model, text, **over, **asks)
        try:
            checks.check_reply(promise, seen.reply, streams=streams)
            await checks.check_upstream_is_free(seen)
        except AssertionError as error:
            broken[mode] = str(error)[:600]

    await asyncio.gather(*(check(mode, promise) for mode, promise in modes.items()))
    assert {one.path for one in faulty.upstream.requests} <= set(_PATHS)
    answered = [texts[mode] for mode, one in modes.items() if not isinstance(one, Refused)]
    stored = await faulty.stored(answered)
    for mode, promise in modes.items():
        try:
            checks.check_stored(promise, stored.get(texts[mode], []))
        except AssertionError:
            broken.setdefault(mode, traceback.format_exc(limit=-2))
    assert not broken, "\n".join(f"{mode}: {what}" for mode, what in broken.items())
