from __future__ import annotations

import json
from decimal import Decimal

from tests.commands import refusal, succeed
from tests.factories import make_site

from sitebrook.access.sites import Site
from sitebrook.chat.turns import NewAnswer, NewQuestion, TurnStore
from sitebrook.db.direct import DirectConnection
from sitebrook.db.engine import Database
from sitebrook.ids import new_id


async def store_answers(url: str, site: Site, *answers: dict[str, object]) -> None:
    conversation_id = new_id("conv")
    question = NewQuestion(
        id=new_id("msg"),
        conversation_id=conversation_id,
        begins=True,
        content="Why?",
        site_id=site.id,
        visitor_id=None,
        origin="",
    )
    values = {"content": "So.", "status": "complete", "provider": "up", "is_estimated": False}
    turns = [
        NewAnswer(id=new_id("ans"), conversation_id=conversation_id, **{**values, **answer})
        for answer in answers
    ]
    store = TurnStore(DirectConnection(url))
    await store.store([question, *turns])
    await store.aclose()


async def test_usage_is_shown_by_site_and_model(
    database_url: str, database: Database, site: Site
) -> None:
    tokens = {"prompt_tokens": 7, "completion_tokens": 5}
    cost = Decimal("0.00000405")
    await store_answers(
        database_url,
        site,
        {"model": "priced", "cost": cost, **tokens},
        {"model": "priced", "cost": cost, **tokens, "status": "interrupted", "is_estimated": True},
        {"model": "unpriced", **tokens},
    )
    await store_answers(database_url, await make_site(database, name="Second"), {"model": "m"})
    url = {"DATABASE_URL": database_url}

    lines = succeed("usage", **url).splitlines()
    cells = [line.split() for line in lines[1:]]
    head = ["SITE", "MODEL", "PROVIDER", "ANSWERS", "PROMPT", "COMPLETION", "COST", "NOTES"]
    assert cells[0] == head
    rows = {row[1]: row for row in cells[1:]}
    noted = ["1", "interrupted,", "1", "estimated"]
    assert rows["priced"] == ["Example", "priced", "up", "2", "14", "10", "0.0000081", *noted]
    assert rows["unpriced"][3:7] == ["1", "7", "5", "unknown"]
    assert rows["m"][6:10] == ["unknown", "1", "without", "tokens,"]
    assert cells[-1][:5] == ["TOTAL", "4", "21", "15", "0.0000081"]

    report = json.loads(succeed("usage", "--site", "Example", "--by-day", "--json", **url))
    assert [row["model"] for row in report["data"]] == ["priced", "unpriced"]
    assert report["totals"]["cost"] == 0.0000081
    assert report["totals"]["without_cost"] == 1
    assert report["data"][0]["day"] in {report["since"][:10], report["until"][:10]}


def test_a_time_that_is_none_is_refused_in_one_line(database_url: str) -> None:
    code, line = refusal("usage", "--since", "soon", DATABASE_URL=database_url)
    assert (code, line.startswith("sitebrook: since must be a time like")) == (1, True)
