"""Questions that mean something only after those before them, by the rule and by a model."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from tests.factories import make_site
from tests.fakes import openai_scripts
from tests.fakes.upstream import SCRIPTS, FakeUpstream

from sitebrook.access.gate import Caller
from sitebrook.chat.question import Question
from sitebrook.db.engine import Database
from sitebrook.errors import StartError
from sitebrook.ids import new_id
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.parts import Parts
from sitebrook.providers.protocol import PromptMessage, Usage
from sitebrook.settings import (
    DatabaseSettings,
    FollowUpSettings,
    ModelSettings,
    ProviderSettings,
    Settings,
)
from sitebrook.telemetry.latency import Timings
from sitebrook.wiring.process import build_parts

_DOCUMENTS = {
    "delivery.md": (
        "# Delivery\n\nDelivery costs 7 euros.\n\nParcels arrive within three working days.\n"
    ),
    "repairs.md": "# Repairs\n\nA torn sail takes us two weeks, a long one three.\n",
}
_COST = "How much does delivery cost?"


class _Scene:
    """A site with documents, and upstream models that say what the test wants."""

    def __init__(self, upstream: FakeUpstream, database: Database) -> None:
        self.upstream = upstream
        self._database = database
        self.timings = Timings()
        self.usage: Usage | None = None
        self.price: dict[str, float] = {"input_price": 1, "output_price": 10}
        self.follow_up = FollowUpSettings()
        self._caller: Caller | None = None

    def settings(self) -> Settings:
        provider = ProviderSettings(
            name="up", base_url=self.upstream.base_url, passthrough=True, breaker_failures=0
        )
        names = ("up/normal", "up/condense")
        return dataclasses.replace(
            Settings.load({}),
            database=DatabaseSettings(url=self._database.url),
            providers=(provider,),
            models=tuple(ModelSettings(id=name, route=(name,), **self.price) for name in names),
            follow_up=self.follow_up,
        )

    async def ask(self, text: str, *earlier: str) -> str:
        """The prompt that the question comes to."""
        parts = build_parts(self.settings())
        async with parts.running():
            caller = await self._to_caller(parts)
            history = tuple(PromptMessage(role="user", content=one) for one in earlier)
            question = Question(
                caller=caller,
                text=text,
                message=PromptMessage(role="user", content=text),
                model="up/normal",
                base_url="http://testserver",
                history=history,
                is_stored=False,
            )
            answer = await parts.chat.start(question, new_id("ans"), self.timings)
            async with aclosing(answer.events()) as events:
                async for event in events:
                    self.usage = event if isinstance(event, Usage) else None
        return self.upstream.requests[-1].json["messages"][0]["content"]

    async def _to_caller(self, parts: Parts) -> Caller:
        if self._caller is not None:
            return self._caller
        site = await make_site(self._database)
        for source, text in _DOCUMENTS.items():
            raw = RawDocument(source, text, "text/markdown")
            await parts.ingester.ingest_document(site, raw)
        self._caller = Caller(site, "key_1", "site", None)
        return self._caller

    def condense(self, text: str, **usage: Any) -> None:
        """Sets a model that makes questions whole, and what it says."""
        payloads = openai_scripts.events(tuple(text))
        if not usage.pop("is_told", True):
            payloads = [one for one in payloads if one is not openai_scripts.USAGE_CHUNK]
        self.upstream.scripts["condense"] = openai_scripts.playing(payloads)
        self.follow_up = FollowUpSettings(model="up/condense", timeout_s=30.0)

    @property
    def models(self) -> list[str]:
        """The models that were asked, in order."""
        return [request.json["model"] for request in self.upstream.requests]


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[_Scene]:
    async with FakeUpstream() as upstream:
        upstream.scripts["normal"] = openai_scripts.playing(openai_scripts.events())
        yield _Scene(upstream, database)


async def test_a_question_that_points_back_is_searched_with_the_subject_before_it(
    scene: _Scene,
) -> None:
    alone = await scene.ask("How long does it take?")
    assert "[1] Repairs" in alone
    assert scene.timings.searched_by == "question"
    followed = await scene.ask("How long does it take?", _COST)
    assert "[1] Delivery" in followed
    assert scene.timings.searched_by == "rule"
    assert scene.models == ["normal", "normal"]


async def test_a_whole_question_is_searched_alone_whatever_was_asked_before(scene: _Scene) -> None:
    scene.condense("Never asked for?")
    prompt = await scene.ask("How long do you take for a torn sail?", _COST)
    assert "two weeks" in prompt
    assert (scene.models, scene.timings.searched_by) == (["normal"], "question")


async def test_a_whole_question_that_finds_nothing_is_searched_with_those_before_it(
    scene: _Scene,
) -> None:
    prompt = await scene.ask("Is shipping abroad any cheaper?", _COST)
    assert "Delivery costs 7 euros" in prompt
    assert scene.timings.searched_by == "rule"


async def test_a_model_makes_it_whole_and_is_counted_with_the_answer(scene: _Scene) -> None:
    scene.condense("In how many working days do parcels arrive?")
    prompt = await scene.ask("And how long?", _COST)
    assert "[1] Delivery" in prompt
    assert scene.models == ["condense", "normal"]
    asked = scene.upstream.requests[0].json["messages"]
    assert [one["role"] for one in asked] == ["user"]
    assert f"Visitor: {_COST}" in asked[0]["content"]
    assert "Visitor's last message: And how long?" in asked[0]["content"]
    assert scene.timings.searched_by == "model"
    assert "follow_up" in scene.timings.phases
    told = openai_scripts.USAGE
    assert scene.usage is not None
    assert scene.usage.prompt_tokens == 2 * told["prompt_tokens"]
    assert scene.usage.completion_tokens == 2 * told["completion_tokens"]
    one = told["prompt_tokens"] * Decimal(1) + told["completion_tokens"] * Decimal(10)
    assert scene.usage.cost == 2 * one / 1_000_000


@pytest.mark.parametrize("said", ["", "Two\nlines", "x" * 700])
async def test_what_is_no_question_leaves_it_to_the_rule(scene: _Scene, said: str) -> None:
    scene.condense(said)
    assert "[1] Delivery" in await scene.ask("How long does it take?", _COST)
    assert scene.timings.searched_by == "rule"


@pytest.mark.parametrize("script", ["never-headers", "stall", "html", "truncated"])
async def test_a_model_that_fails_or_is_late_leaves_it_to_the_rule(
    scene: _Scene, script: str
) -> None:
    scene.upstream.scripts["condense"] = SCRIPTS[script]
    scene.follow_up = FollowUpSettings(model="up/condense", timeout_s=0.5)
    assert "[1] Delivery" in await scene.ask("How long does it take?", _COST)
    assert scene.timings.searched_by == "rule"
    assert scene.models[-1] == "normal"


async def test_what_a_model_used_before_it_failed_is_counted_too(scene: _Scene) -> None:
    scene.condense("Two\nlines", is_told=False)
    await scene.ask("How long does it take?", _COST)
    assert scene.usage is not None
    assert scene.usage.prompt_tokens > openai_scripts.USAGE["prompt_tokens"]
    assert scene.usage.is_estimated


async def test_a_model_that_there_is_not_stops_the_start(scene: _Scene) -> None:
    scene.follow_up = FollowUpSettings(model="nowhere")
    with pytest.raises(StartError, match=r"SITEBROOK_FOLLOW_UP_MODEL.*'nowhere'"):
        build_parts(scene.settings())
