from __future__ import annotations

import dataclasses
from contextlib import aclosing

from tests.factories import make_site
from tests.fakes import openai_scripts
from tests.fakes.upstream import FakeUpstream

from sitebrook.access.gate import Caller
from sitebrook.chat.question import Question
from sitebrook.db.engine import Database
from sitebrook.ids import new_id
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.parts import Parts
from sitebrook.providers.protocol import PromptMessage
from sitebrook.settings import DatabaseSettings, ProviderSettings, Settings
from sitebrook.telemetry.latency import Timings
from sitebrook.wiring.process import build_parts

_DELIVERY = "# Delivery\n\nDelivery costs 7 euros.\n\nParcels arrive within three working days.\n"


async def prompt_for(
    parts: Parts, upstream: FakeUpstream, caller: Caller, text: str, *earlier: str
) -> str:
    question = Question(
        caller=caller,
        text=text,
        message=PromptMessage(role="user", content=text),
        model="up/normal",
        base_url="http://testserver",
        history=tuple(PromptMessage(role="user", content=one) for one in earlier),
        is_stored=False,
    )
    answer = await parts.chat.start(question, new_id("ans"), Timings())
    async with aclosing(answer.events()) as events:
        async for _ in events:
            pass
    return upstream.requests[-1].json["messages"][0]["content"]


async def test_a_question_that_finds_nothing_alone_is_searched_with_the_one_before_it(
    database: Database,
) -> None:
    async with FakeUpstream() as upstream:
        upstream.scripts["normal"] = openai_scripts.playing(openai_scripts.events())
        provider = ProviderSettings(name="up", base_url=upstream.base_url, passthrough=True)
        settings = dataclasses.replace(
            Settings.load({}), database=DatabaseSettings(url=database.url), providers=(provider,)
        )
        settings = dataclasses.replace(settings, models=())
        parts = build_parts(settings)
        async with parts.running():
            site = await make_site(database)
            caller = Caller(site, "key_1", "site", None)
            raw = RawDocument("delivery.md", _DELIVERY, "text/markdown")
            await parts.ingester.ingest_document(site, raw)
            alone = await prompt_for(parts, upstream, caller, "How long does it take?")
            assert "three working days" not in alone
            followed = await prompt_for(
                parts,
                upstream,
                caller,
                "How long does it take?",
                "How much does delivery cost?",
            )
            assert "three working days" in followed
