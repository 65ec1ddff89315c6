"""Embedders: the one of new sites, and further ones that sites may have or be switched to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from sitebrook.errors import StartError
from sitebrook.settings.fields import load_section, setting

_SCHEMES: Final = ("http://", "https://")
_KEY_ENV: Final = "api_key_env"


@dataclasses.dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """One embedder: an endpoint, or the model of a folder; neither is the keyless one."""

    model: str | None = setting(
        None, "SITEBROOK_EMBEDDING_MODEL", "model at the embedding endpoint; unset: keyless hashing"
    )
    base_url: str | None = setting(
        None, "SITEBROOK_EMBEDDING_BASE_URL", "OpenAI-compatible base URL, ending in /v1"
    )
    api_key: str | None = setting(
        None, "SITEBROOK_EMBEDDING_API_KEY", "key for the embedding endpoint", is_secret=True
    )
    folder: Path | None = setting(
        None,
        "SITEBROOK_EMBEDDING_FOLDER",
        "folder with model.onnx and tokenizer.json, instead of an endpoint",
    )
    dimensions: int | None = setting(
        None, "SITEBROOK_EMBEDDING_DIMENSIONS", "length of vectors to ask for; unset: the model's"
    )
    languages: tuple[str, ...] = setting(
        (), "SITEBROOK_EMBEDDING_LANGUAGES", "languages the model knows, such as en,it; unset: all"
    )
    question_prefix: str = setting(
        "", "SITEBROOK_EMBEDDING_QUESTION_PREFIX", "what the model wants before a question"
    )
    document_prefix: str = setting(
        "", "SITEBROOK_EMBEDDING_DOCUMENT_PREFIX", "what the model wants before a document's text"
    )
    min_similarity: float = setting(
        0.3,
        "SITEBROOK_EMBEDDING_MIN_SIMILARITY",
        "cosine from which a passage counts as relevant; models differ",
    )
    batch_size: int = setting(
        64, "SITEBROOK_EMBEDDING_BATCH_SIZE", "texts per embedding request", least=1
    )
    concurrency: int = setting(
        4, "SITEBROOK_EMBEDDING_CONCURRENCY", "embedding requests for documents at once", least=1
    )
    requests_per_minute: int = setting(
        0,
        "SITEBROOK_EMBEDDING_REQUESTS_PER_MINUTE",
        "embedding requests for documents; 0: no limit",
        least=0,
    )
    threads: int = setting(
        0,
        "SITEBROOK_EMBEDDING_THREADS",
        "threads for documents with a folder; 0: one less than cores, 1 to 8",
        least=0,
    )

    @property
    def is_keyless(self) -> bool:
        """Whether neither an endpoint nor a folder is set."""
        return self.model is None and self.folder is None


def load_embedders(rows: object, environ: Mapping[str, str]) -> tuple[EmbeddingSettings, ...]:
    """The further embedders, from the rows ``[[embedders]]``, whose names are those of the section.

    Raises StartError.
    """
    if not isinstance(rows, list):
        raise StartError("[[embedders]] in the settings file must be a list of tables.")
    found: list[EmbeddingSettings] = []
    for row in cast("list[Any]", rows):
        if not isinstance(row, dict):
            raise StartError("[[embedders]] in the settings file must be a list of tables.")
        table = dict(cast("dict[str, Any]", row))
        if name := str(table.pop(_KEY_ENV, "")):
            table["api_key"] = environ.get(name, "").strip()
        settings, _ = load_section(EmbeddingSettings, "[embedders]", {}, table)
        check_embedding(settings, "[[embedders]]: model", "base_url", "folder")
        if settings.is_keyless:
            raise StartError("[[embedders]] in the settings file: each needs a model or a folder.")
        found.append(settings)
    return tuple(found)


def check_embedding(
    settings: EmbeddingSettings,
    model: str = "SITEBROOK_EMBEDDING_MODEL",
    base_url: str = "SITEBROOK_EMBEDDING_BASE_URL",
    folder: str = "SITEBROOK_EMBEDDING_FOLDER",
) -> None:
    """Raises StartError for settings that contradict each other."""
    if settings.model and not settings.base_url:
        raise StartError(f"{model} needs {base_url} too.")
    if settings.base_url and not settings.base_url.startswith(_SCHEMES):
        raise StartError(f"{base_url} must start with http:// or https://.")
    if settings.model and settings.folder:
        raise StartError(
            f"{model} and {folder} are both set: keep one for new sites, and put the other under "
            "[[embedders]] in the settings file."
        )
    if settings.folder and (
        settings.dimensions or settings.question_prefix or settings.document_prefix
    ):
        raise StartError(f"With {folder}, dimensions and prefixes are those of the folder's files.")
    if settings.dimensions is not None and settings.dimensions < 1:
        raise StartError("The dimensions of embeddings must be at least 1.")
