"""Documents embedded by a model which a child process keeps loaded between its calls."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from sitebrook.compute.work import Work
from sitebrook.errors import StartError, Unavailable
from sitebrook.retrieval.onnx.folder import read_folder
from sitebrook.retrieval.onnx.model import OnnxModel

# Behind the children that read documents, which have 5.
_MORE_NICENESS: Final = 5


class EmbedRequest(msgspec.Struct, frozen=True):
    """Texts for the whole model of a folder; ``name`` is what its vectors are stored under."""

    folder: str
    name: str
    threads: int
    texts: list[str]


class EmbeddedTexts(msgspec.Struct, frozen=True):
    """A row of length one for each text."""

    vectors: NDArray[np.float32]


def embed_texts(asked: EmbedRequest) -> EmbeddedTexts:
    """The rows of the texts. Raises Unavailable when the folder has no such model any more."""
    return EmbeddedTexts(_load(asked.folder, asked.name, asked.threads).encode(asked.texts))


@functools.lru_cache(maxsize=1)
def _load(path: str, name: str, threads: int) -> OnnxModel:
    _step_back()
    # Else the tokenizer starts one for each core.
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    try:
        folder = read_folder(Path(path))
        if folder.name != name:
            raise Unavailable(
                f"The model in {path} is another one than when this process started: "
                "start it again, and give its sites the new model with `sitebrook embedder switch`."
            )
        return OnnxModel(folder, folder.model, threads=threads)
    except StartError as error:
        raise Unavailable(str(error)) from None


@functools.cache
def _step_back() -> None:
    """Once, and before the model is loaded: the threads that it starts are as nice as this one."""
    os.nice(_MORE_NICENESS)


EMBED: Final = Work("sitebrook.retrieval.onnx.embedding:embed_texts", EmbedRequest, EmbeddedTexts)
