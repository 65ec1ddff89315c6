"""``/v1/embeddings``: texts as vectors, by the embedders of this server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from sitebrook.access.gate import Caller
from sitebrook.access.limits import allowances_of_key
from sitebrook.api.bodies import check_json
from sitebrook.api.schemas.embeddings import (
    MAX_INPUT_CHARACTERS,
    EmbeddingListResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    EmbeddingUsage,
)
from sitebrook.errors import InvalidRequest
from sitebrook.parts import Parts
from sitebrook.providers.tokens import estimate_tokens
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.embedding_models import find_embedder, resize, to_model


@post(
    "/v1/embeddings",
    status_code=200,
    guards=[check_json],
    summary="Embed texts",
    tags=["models"],
    responses={200: ResponseSpec(EmbeddingListResponse, generate_examples=False)},
)
async def create_embeddings(
    data: JSONBody[EmbeddingRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> Response[Any]:
    """A vector for each text, made as those of documents are."""
    texts = _to_texts(data.input)
    await parts.limiter.count(allowances_of_key(server, parts.settings.limits))
    if data.model == "auto":
        embedder = (await parts.embedders.find(server.site.id))[0]
    else:
        embedder = find_embedder(parts.embedders.all, data.model)
    vectors = resize(await embedder.embed(texts), data.dimensions, embedder)
    model = to_model(embedder.name)
    # Millions of numbers as text take the processor for a while, and counting tokens too.
    body = await asyncio.to_thread(_encode, vectors, data.encoding_format, model, texts)
    return Response(body, media_type="application/json")


def _to_texts(asked: str | Sequence[str | int | list[int]]) -> list[str]:
    texts: list[str] = []
    for position, one in enumerate([asked] if isinstance(asked, str) else asked):
        param = "input" if isinstance(asked, str) else f"input[{position}]"
        if not isinstance(one, str):
            raise InvalidRequest(
                "Tokens are not taken, because they mean other texts in each model's vocabulary; "
                "send texts (with LangChain: check_embedding_ctx_length=False).",
                param="input",
                code="tokens_not_supported",
            )
        if not one:
            raise InvalidRequest("A text to embed must not be empty.", param=param)
        if len(one) > MAX_INPUT_CHARACTERS:
            raise InvalidRequest(
                f"A text to embed may have {MAX_INPUT_CHARACTERS:,} characters; this one has "
                f"{len(one):,}. Cut it into several texts.",
                param=param,
                code="text_too_long",
            )
        texts.append(one)
    return texts


def _encode(
    vectors: Vectors, form: Literal["float", "base64"], model: str, texts: Sequence[str]
) -> bytes:
    rows: list[list[float]] | list[str] = (
        vectors.tolist()
        if form == "float"
        else [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    )
    tokens = sum(map(estimate_tokens, texts))
    usage = EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens)
    found = [EmbeddingResponse(embedding=row, index=index) for index, row in enumerate(rows)]
    return msgspec.json.encode(EmbeddingListResponse(data=found, model=model, usage=usage))
