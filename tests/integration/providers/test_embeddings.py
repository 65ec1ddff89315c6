from __future__ import annotations

import numpy as np
import pytest
from tests.fakes.openai_scripts import SECRET

from sitebrook.errors import ProviderError
from sitebrook.providers.embeddings import OpenAICompatibleEmbedder
from sitebrook.settings import EmbeddingSettings


@pytest.fixture
async def embedder(upstream):
    made = []

    def make(model: str, **over) -> OpenAICompatibleEmbedder:
        settings = EmbeddingSettings(
            model=model, base_url=upstream.base_url, api_key="sk-embed", batch_size=2
        )
        made.append(OpenAICompatibleEmbedder(settings, **over))
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


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("401", 401, "provider_error"),
        ("redirect", 307, "provider_error"),
        ("short", None, "provider_malformed"),
    ],
)
async def test_a_fault_is_told_once_and_in_our_words(model, status, code, embedder):
    with pytest.raises(ProviderError) as caught:
        await embedder(model).embed(["a", "b", "c"])
    assert (caught.value.upstream_status, caught.value.code) == (status, code)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_an_endpoint_that_says_nothing_is_given_up(embedder, monkeypatch):
    monkeypatch.setattr("sitebrook.providers.embeddings._MAX_RETRIES", 0)
    with pytest.raises(ProviderError) as caught:
        await embedder("stall", timeout_s=0.1).embed(["a"])
    assert caught.value.code == "provider_timeout"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("500", 500, "provider_error"), ("reset", None, "provider_unreachable")],
)
async def test_a_passing_fault_is_tried_again(model, status, code, embedder, upstream, monkeypatch):
    monkeypatch.setattr("sitebrook.providers.embeddings._MAX_RETRIES", 1)
    with pytest.raises(ProviderError) as caught:
        await embedder(model).embed(["a"])
    assert (caught.value.upstream_status, caught.value.code) == (status, code)
    assert len(upstream.requests) == 2
