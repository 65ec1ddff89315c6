from __future__ import annotations

import asyncio
import json
import math

import pytest
from tests.fakes.openai_scripts import SECRET
from tests.fakes.upstream import Exchange, FakeUpstream

from sitebrook.errors import ProviderError, StartError
from sitebrook.providers.reranking import RerankEndpoint
from sitebrook.settings import RerankSettings


@pytest.fixture
async def endpoint(upstream: FakeUpstream):
    made = []

    def make(model: str, answer: object = None, **over):
        async def play(exchange: Exchange) -> None:
            await exchange.whole(200, "application/json", json.dumps(answer).encode())

        if answer is not None:
            upstream.scripts[model] = play
        fields = {"base_url": upstream.base_url, "api_key": "sk-rerank", **over}
        made.append(RerankEndpoint(RerankSettings(model=model, **fields)))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


ROWS = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.25}]


@pytest.mark.parametrize(
    "answer",
    [
        {"results": ROWS},
        {"data": ROWS, "object": "list"},
        [{"index": row["index"], "score": row["relevance_score"]} for row in ROWS],
    ],
)
async def test_every_form_of_the_wire_gives_scores_in_the_order_of_the_texts(
    endpoint, upstream: FakeUpstream, answer: object
) -> None:
    assert await endpoint("m", answer).score("why?", ["a", "b"]) == [0.25, 0.9]
    asked = upstream.requests[0]
    assert asked.path.endswith("/v1/rerank")
    assert asked.headers["authorization"] == "Bearer sk-rerank"
    assert asked.json["query"] == "why?"
    assert asked.json["documents"] == ["a", "b"]
    assert asked.json["top_n"] == 2


async def test_numbers_before_the_last_step_become_scores_in_the_same_order(endpoint) -> None:
    rows = [{"index": at, "relevance_score": value} for at, value in enumerate([-3.5, 0, 9000])]
    scores = await endpoint("m", {"results": rows}).score("q", ["a", "b", "c"])
    assert scores == pytest.approx([1 / (1 + math.exp(3.5)), 0.5, 1])


@pytest.mark.parametrize(
    "answer",
    [
        {"results": ROWS[:1]},
        {"results": [*ROWS, {"index": 2, "relevance_score": 1}]},
        {"results": [{"index": 0}, {"index": 1}]},
        {"results": [1, 2]},
        {"results": "none"},
        {"results": [{"index": at, "relevance_score": float("nan")} for at in (0, 1)]},
        "text",
        7,
    ],
)
async def test_an_answer_of_another_shape_is_refused(endpoint, answer: object) -> None:
    with pytest.raises(ProviderError, match=r"did not send one score|did not answer as"):
        await endpoint("m", answer).score("q", ["a", "b"])


@pytest.mark.parametrize("model", ["401", "404", "429", "500", "html-200", "reset-before"])
async def test_faults_are_told_without_the_endpoint_s_text(endpoint, model: str) -> None:
    with pytest.raises(ProviderError) as failed:
        await endpoint(model).score("q", ["a"])
    assert SECRET not in failed.value.message


async def test_a_silent_endpoint_is_given_up(endpoint) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(ProviderError):
            await endpoint("never-headers", timeout_s=0.2).score("q", ["a"])


def test_half_an_endpoint_is_refused() -> None:
    with pytest.raises(StartError, match="SITEBROOK_RERANK_MODEL"):
        RerankEndpoint(RerankSettings(base_url="http://127.0.0.1/v1"))
