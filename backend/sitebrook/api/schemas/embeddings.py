"""The wire of embeddings, as OpenAI's API has it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

MAX_INPUTS = 2048
MAX_INPUT_CHARACTERS = 100_000


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Texts to embed; ``model`` is an embedder of this server, or ``auto`` for the site's own.

    A text has up to 100,000 characters. Tokens in place of texts are refused: which vocabulary they
    are of is not known.
    """

    input: (
        Annotated[str, msgspec.Meta(min_length=1)]
        | Annotated[list[str | int | list[int]], msgspec.Meta(min_length=1, max_length=MAX_INPUTS)]
    )
    model: str = "auto"
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    user: str | None = None


class EmbeddingResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A vector of length one; in base64 its numbers are little-endian floats of 32 bits."""

    embedding: list[float] | str
    index: int
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(msgspec.Struct, frozen=True, kw_only=True):
    """About how many tokens the texts are."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A vector for each text, in the order of the texts."""

    data: list[EmbeddingResponse]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"
