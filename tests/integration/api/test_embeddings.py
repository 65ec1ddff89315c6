"""``/v1/embeddings`` with the unmodified OpenAI SDK."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.integration.api.client import Api, assert_is_error

_PATH = "/v1/embeddings"
_TEXTS = ["Spinnaker sails are mended.", "The workshop opens at nine.", "Mended spinnaker sails"]


@pytest.fixture
def client(api: Api) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{api.server.url}/v1", api_key=api.site.secret_key, max_retries=0
    ) as client:
        yield client


def _likeness(first: list[float], second: list[float]) -> float:
    return sum(one * other for one, other in zip(first, second, strict=True))


def test_each_text_gets_a_vector_of_length_one_in_its_order(client: openai.OpenAI) -> None:
    found = client.embeddings.create(model="hashing-1-512", input=_TEXTS)
    assert [one.index for one in found.data] == [0, 1, 2]
    vectors = [one.embedding for one in found.data]
    assert [len(one) for one in vectors] == [512] * 3
    assert [_likeness(one, one) for one in vectors] == pytest.approx([1.0] * 3, abs=1e-5)
    assert _likeness(vectors[0], vectors[2]) > 0.5 > _likeness(vectors[0], vectors[1])
    assert found.model == "hashing-1-512"
    assert found.usage.prompt_tokens == found.usage.total_tokens > 10


def test_both_formats_hold_the_same_numbers(api: Api) -> None:
    asked = {"model": "auto", "input": _TEXTS[0], "dimensions": 512}
    plain, packed = (
        api.send("POST", _PATH, {**asked, "encoding_format": form}, api.site.server).json
        for form in ("float", "base64")
    )
    numbers = plain["data"][0]["embedding"]
    content = base64.b64decode(packed["data"][0]["embedding"])
    assert list(struct.unpack("<512f", content)) == pytest.approx(numbers)
    assert plain["usage"] == packed["usage"]
    assert api.send("POST", _PATH, asked, api.site.server).json == plain


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a" * 100_001}, "input"),
        ({"input": ["a" * 100_000, "a" * 100_001]}, "input[1]"),
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": [None]}, "input[0]"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 256}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"model": 5}, "model"),
    ],
)
def test_what_cannot_be_embedded_is_named(api: Api, over: dict[str, Any], param: str) -> None:
    reply = api.send("POST", _PATH, {"input": "a", **over}, api.site.server)
    assert_is_error(reply, 400, param=param)


def test_tokens_are_refused_with_what_to_do(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="send texts") as refused:
        client.embeddings.create(model="auto", input=[[1, 2, 3]])
    assert refused.value.code == "tokens_not_supported"


def test_an_unknown_model_is_404_and_names_the_known(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="hashing-1-512") as refused:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
