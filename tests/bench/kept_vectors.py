"""An embedder whose vectors are kept in a file, so that each text is embedded once for all runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sitebrook.retrieval.embedder import Embedder, Vectors

_SAVE_EACH = 500


class KeptVectors:
    """The embedder with its vectors kept; satisfies ``retrieval.Embedder``."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self._embedder = embedder
        self.name = embedder.name
        self.languages = embedder.languages
        self.fixed_weight = embedder.fixed_weight
        self.similarity_floor = embedder.similarity_floor
        digest = hashlib.sha256(embedder.name.encode()).hexdigest()[:16]
        self._file = folder / f"vectors-{digest}.npz"
        self._kept: dict[str, Vectors] = {}
        self._unsaved = 0
        self.made = 0
        if self._file.exists():
            with np.load(self._file) as found:
                self._kept = dict(zip(found["keys"].tolist(), found["vectors"], strict=True))

    async def embed(self, texts: Sequence[str]) -> Vectors:
        keys = [_to_key("document", text) for text in texts]
        missing = {
            key: text for key, text in zip(keys, texts, strict=True) if key not in self._kept
        }
        if missing:
            self._keep(missing, await self._embedder.embed(list(missing.values())))
        return np.array([self._kept[key] for key in keys], dtype=np.float32)

    async def embed_question(self, question: str) -> Vectors:
        key = _to_key("question", question)
        if key not in self._kept:
            self._keep([key], [await self._embedder.embed_question(question)])
        return self._kept[key]

    async def aclose(self) -> None:
        self.save()
        await self._embedder.aclose()

    def save(self) -> None:
        """Writes what is new."""
        if not self._unsaved:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new.npz")
        np.savez(new, keys=np.array(list(self._kept)), vectors=np.array([*self._kept.values()]))
        new.replace(self._file)
        self._unsaved = 0

    def _keep(self, keys: Sequence[str] | dict[str, str], vectors: Sequence[Vectors]) -> None:
        self._kept.update(zip(keys, vectors, strict=True))
        self.made += len(keys)
        self._unsaved += len(keys)
        if self._unsaved >= _SAVE_EACH:
            self.save()


def _to_key(kind: str, text: str) -> str:
    return hashlib.sha256(f"{kind}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
