from __future__ import annotations

import numpy as np
import pytest

from sitebrook.errors import InvalidRequest, ModelNotFound
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.embedding_models import find_embedder, resize, to_model


class Named(HashingEmbedder):
    def __init__(self, name: str) -> None:
        self.name = name


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("hashing-1-512", "hashing-1-512"),
        ("openai:text-embedding-3-small@api.openai.com", "text-embedding-3-small"),
        ("openai:text-embedding-3-small/256#0a1b2c3d@api.openai.com", "text-embedding-3-small"),
        ("openai:BAAI/bge-m3@127.0.0.1:8080", "BAAI/bge-m3"),
        ("openai:gecko@003@example.com", "gecko@003"),
        ("onnx:all-minilm@0a1b", "all-minilm"),
    ],
)
def test_a_model_is_called_as_where_it_comes_from(name: str, model: str) -> None:
    assert to_model(name) == model


def test_an_embedder_is_found_by_its_name_or_its_model() -> None:
    first, second = Named("openai:small/256@a.example"), Named("openai:small@b.example")
    both = (first, second, HashingEmbedder())
    assert find_embedder(both, "small") is first
    assert find_embedder(both, "openai:small@b.example") is second
    assert find_embedder(both, "hashing-1-512") is both[2]


def test_an_unknown_model_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ModelNotFound, match="'hashing-1-512'") as refused:
        find_embedder((HashingEmbedder(),), "text-embedding-3-small")
    assert refused.value.param == "model"


def test_only_vectors_that_can_be_are_shortened() -> None:
    vectors = np.array([[0.6, 0.0, 0.8], [0.0, 0.0, 1.0]], dtype=np.float32)
    model = Named("openai:text-embedding-3-large@api.openai.com")
    assert resize(vectors, None, model) is vectors
    assert resize(vectors, 3, Named("openai:other@x")) is vectors
    assert resize(vectors, 2, model).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    for size, embedder in ((4, model), (2, Named("openai:other@x"))):
        with pytest.raises(InvalidRequest, match="3 numbers") as refused:
            resize(vectors, size, embedder)
        assert refused.value.param == "dimensions"
