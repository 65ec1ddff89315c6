from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np
import pytest
from tests.fakes.openai_scripts import SECRET
from tests.fakes.upstream import SCRIPTS

from sitebrook.errors import ProviderError
from sitebrook.providers.embeddings import OpenAICompatibleEmbedder
from sitebrook.settings import EmbeddingSettings


@pytest.fixture
async def embedder(upstream):
    made = []

    def make(model: str, *, timeout_s: float = 60, pause_s: float = 0.001, **over):
        fields = {"base_url": upstream.base_url, "api_key": "sk-embed", "batch_size": 2, **over}
        settings = EmbeddingSettings(model=model, **fields)
        made.append(OpenAICompatibleEmbedder(settings, timeout_s=timeout_s, pause_s=pause_s))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


async def test_texts_become_rows_of_length_one_in_their_order(embedder, upstream):
    vectors = await embedder("m").embed(["a", "bbbb", "cc", "ddd", ""])
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 3)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.allclose(vectors[:, 0] / vectors[:, 1], [1, 4, 2, 3, 1])
    assert sorted(len(one.json["input"]) for one in upstream.requests) == [1, 2, 2]
    assert upstream.requests[0].headers["authorization"] == "Bearer sk-embed"


async def test_no_texts_make_no_request(embedder, upstream):
    assert (await embedder("m").embed([])).shape == (0, 0)
    assert upstream.requests == []


async def test_the_name_tells_model_and_host(embedder, upstream):
    assert embedder("m").name == f"openai:m@127.0.0.1:{upstream.port}"


def asked(upstream) -> list[list[str]]:
    return [one.json["input"] for one in upstream.requests]


@pytest.mark.parametrize(
    ("model", "status", "code", "hint"),
    [
        ("401", 401, "provider_error", "check SITEBROOK_EMBEDDING_API_KEY"),
        ("404", 404, "provider_error", "check SITEBROOK_EMBEDDING_MODEL and"),
        ("413", 413, "provider_error", "lower SITEBROOK_EMBEDDING_BATCH_SIZE"),
        ("redirect", 307, "provider_error", "redirect"),
        ("short", None, "provider_malformed", "as an embedding endpoint"),
    ],
)
async def test_a_fault_that_stays_is_told_at_once_with_what_to_do(
    model, status, code, hint, embedder, upstream
):
    with pytest.raises(ProviderError, match=hint) as caught:
        await embedder(model, batch_size=9).embed(["a", "b", "c"])
    assert (caught.value.upstream_status, caught.value.code) == (status, code)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(upstream.requests) == 1


async def test_an_endpoint_that_says_nothing_is_given_up(embedder):
    with pytest.raises(ProviderError) as caught:
        await embedder("stall", timeout_s=0.05).embed_question("a")
    assert caught.value.code == "provider_timeout"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("500", 500, "provider_error"),
        ("429", 429, "provider_error"),
        ("reset", None, "provider_unreachable"),
    ],
)
async def test_a_passing_fault_is_tried_again_for_documents_longer_than_for_questions(
    model, status, code, embedder, upstream
):
    with pytest.raises(ProviderError) as caught:
        await embedder(model).embed(["a"])
    assert (caught.value.upstream_status, caught.value.code) == (status, code)
    assert len(upstream.requests) == 6
    upstream.requests.clear()
    with pytest.raises(ProviderError):
        await embedder(model).embed_question("a")
    assert len(upstream.requests) == 2


async def test_documents_arrive_whole_through_an_endpoint_that_fails_now_and_then(
    embedder, upstream
):
    served = SCRIPTS["embeddings"]
    times = Counter()

    async def flaky(exchange) -> None:
        first = exchange.request.json["input"][0]
        times[first] += 1
        if times[first] == 1:
            await exchange.whole(429, "application/json", b"{}", retry_after="0.01")
        elif times[first] == 2:
            await exchange.whole(503, "text/html", b"<p>busy")
        else:
            await served(exchange)

    upstream.scripts["embeddings:m"] = flaky
    texts = ["x" * length for length in range(1, 41)]
    vectors = await embedder("m").embed(texts)
    assert np.allclose(vectors[:, 0] / vectors[:, 1], range(1, 41))


async def test_a_used_up_account_is_not_asked_again(embedder, upstream):
    async def used_up(exchange) -> None:
        body = b'{"error": {"code": "insufficient_quota"}}'
        await exchange.whole(429, "application/json", body)

    upstream.scripts["embeddings:m"] = used_up
    with pytest.raises(ProviderError, match="used up") as caught:
        await embedder("m").embed(["a"])
    assert caught.value.code == "insufficient_quota"
    assert len(upstream.requests) == 1


async def test_a_wait_that_is_too_long_is_left_to_the_operator(embedder, upstream):
    async def later(exchange) -> None:
        await exchange.whole(429, "application/json", b"{}", retry_after="3600")

    upstream.scripts["embeddings:m"] = later
    with pytest.raises(ProviderError, match="REQUESTS_PER_MINUTE"):
        await embedder("m").embed(["a"])
    assert len(upstream.requests) == 1


async def test_requests_at_once_are_bounded_and_questions_do_not_wait(embedder, upstream):
    served = SCRIPTS["embeddings"]
    release = asyncio.Event()
    under_way = 0
    most = 0

    async def slow(exchange) -> None:
        nonlocal under_way, most
        if exchange.request.json["input"] != ["question"]:
            under_way += 1
            most = max(most, under_way)
            await release.wait()
            under_way -= 1
        await served(exchange)

    upstream.scripts["embeddings:m"] = slow
    one = embedder("m", concurrency=3)
    documents = asyncio.create_task(one.embed(["a"] * 20))
    async with asyncio.timeout(10):
        while under_way < 3:
            await asyncio.sleep(0.001)
        assert (await one.embed_question("question")).shape == (3,)
        release.set()
        assert (await documents).shape == (20, 3)
    assert most == 3


async def test_requests_for_documents_keep_their_distance(embedder, upstream):
    loop = asyncio.get_running_loop()
    started = loop.time()
    await embedder("m", requests_per_minute=1200).embed(["a"] * 8)
    assert loop.time() - started >= 3 * 0.05
    assert len(upstream.requests) == 4


async def test_prefixes_and_dimensions_are_sent_and_are_part_of_the_name(embedder, upstream):
    one = embedder("m", question_prefix="query:", document_prefix="Document:\n", dimensions=3)
    await one.embed(["a", ""])
    await one.embed_question("b")
    assert asked(upstream) == [["Document:\na", "Document:\n"], ["query: b"]]
    assert upstream.requests[0].json["dimensions"] == 3
    assert one.name.startswith("openai:m/3#")
    assert one.name != embedder("m", document_prefix="passage:", dimensions=3).name


async def test_long_texts_make_smaller_batches(embedder, upstream):
    await embedder("m", batch_size=64).embed(["x" * 90_000] * 5)
    assert sorted(len(batch) for batch in asked(upstream)) == [1, 2, 2]
