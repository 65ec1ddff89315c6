"""Embedders by the names that clients call them, and vectors in the size that they ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from sitebrook.errors import InvalidRequest, ModelNotFound
from sitebrook.retrieval.embedder import Embedder, Vectors

# The end of an embedder's name says what else its vectors depend on: size, prefix, host or hash.
_DETAILS: Final = re.compile(r"(?:/\d+)?(?:#[0-9a-f]+)?(?:@[^@]*)?$")
_KIND: Final = re.compile(r"^(?:openai|onnx):")
# Their first numbers are vectors too, which is how OpenAI's own API shortens them.
_SHORTENED: Final = re.compile(r"^text-embedding-3-")


def to_model(embedder_name: str) -> str:
    """What the embedder's model is called where it comes from."""
    return _DETAILS.sub("", _KIND.sub("", embedder_name), count=1)


def find_embedder(embedders: Sequence[Embedder], name: str) -> Embedder:
    """The embedder of that name, or the first whose model is called so. Raises ModelNotFound."""
    by_name = {to_model(one.name): one for one in reversed(embedders)}
    by_name |= {one.name: one for one in embedders}
    found = by_name.get(name)
    if found is None:
        known = ", ".join(f"'{to_model(one.name)}'" for one in embedders)
        raise ModelNotFound(
            f"There is no embedding model '{name[:200]}' here. Known: {known}, and 'auto' for the "
            "one of the site's documents.",
            param="model",
        )
    return found


def resize(vectors: Vectors, dimensions: int | None, embedder: Embedder) -> Vectors:
    """The vectors with so many numbers each, of length one; None leaves them.

    Raises InvalidRequest unless they have that many, or the model's can be shortened to it.
    """
    size = vectors.shape[1]
    if dimensions in {None, size}:
        return vectors
    model = to_model(embedder.name)
    if dimensions is None or dimensions > size or not _SHORTENED.match(model):
        raise InvalidRequest(
            f"'{model}' gives vectors of {size} numbers; leave dimensions out or send {size}.",
            param="dimensions",
        )
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    return (cut / np.where(lengths == 0, 1, lengths)).astype(np.float32)
