"""What a folder with an ONNX model says about itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from sitebrook.errors import StartError

Pooling = Literal["mean", "cls"]

CARD: Final = "sitebrook.json"
MODEL: Final = "model.onnx"
QUESTION_MODEL: Final = "model_int8.onnx"
# Where sentence-transformers and its exporters put the files, relative to the folder.
_PLACES: Final = ("", "onnx")
_QUESTION_NAMES: Final = (QUESTION_MODEL, "model_quantized.onnx")
_POOLINGS: Final[Mapping[str, Pooling]] = {
    "pooling_mode_mean_tokens": "mean",
    "mean": "mean",
    "pooling_mode_cls_token": "cls",
    "cls": "cls",
}
_KNOWN_MODULES: Final = frozenset({"Transformer", "Pooling", "Normalize"})
_DEFAULT_MAX_TOKENS: Final = 512


@dataclass(frozen=True, slots=True)
class OnnxFolder:
    """The files of a model and how its token vectors become one.

    ``question_model`` is a smaller one for questions, or the same file. ``name`` holds a hash of
    what the vectors depend on. ``languages`` (ISO 639-1) is None when the folder does not tell.
    """

    name: str
    path: Path
    model: Path
    question_model: Path
    tokenizer: Path
    pooling: Pooling
    max_tokens: int
    question_prompt: str
    document_prompt: str
    languages: frozenset[str] | None


def read_folder(path: Path) -> OnnxFolder:
    """The folder as sentence-transformers publishes it or ``sitebrook embedder export`` makes it.

    Raises StartError when a file is missing or the model needs more than pooling.
    """
    model = _find(path, (MODEL,))
    tokenizer = path / "tokenizer.json"
    if model is None or not tokenizer.is_file():
        missing = MODEL if model is None else tokenizer.name
        raise StartError(
            f"The folder {path} has no {missing}; make one with `sitebrook embedder export`."
        )
    _check_modules(path)
    prompts = _mapping(_read(path / "config_sentence_transformers.json").get("prompts"))
    card = _read(path / CARD)
    pooling = _pooling(path)
    document_prompt = str(prompts.get("document") or prompts.get("passage") or "")
    max_tokens = _max_tokens(path)
    digest = _hash((model, tokenizer), (pooling, document_prompt, max_tokens))
    return OnnxFolder(
        name=f"onnx:{card.get('name') or path.resolve().name}@{digest}",
        path=path.absolute(),
        model=model,
        question_model=_find(path, _QUESTION_NAMES) or model,
        tokenizer=tokenizer,
        pooling=pooling,
        max_tokens=max_tokens,
        question_prompt=str(prompts.get("query") or ""),
        document_prompt=document_prompt,
        languages=_languages(card),
    )


def _find(path: Path, names: tuple[str, ...]) -> Path | None:
    files = (path / place / name for name in names for place in _PLACES)
    return next((file for file in files if file.is_file()), None)


def _check_modules(path: Path) -> None:
    steps = _read_json(path / "modules.json")
    for step in cast("list[Any]", steps) if isinstance(steps, list) else []:
        kind = str(_mapping(step).get("type", "")).rpartition(".")[2]
        if kind not in _KNOWN_MODULES:
            raise StartError(
                f"The model in {path} has a step {kind!r}; only models that pool the token vectors "
                "by mean or by their first token can be run from a folder."
            )


def _pooling(path: Path) -> Pooling:
    config = _read(path / "1_Pooling" / "config.json")
    if not config:
        return "mean"
    named = str(config.get("pooling_mode") or "")
    on = {named} if named else {name for name, value in config.items() if value is True}
    # Newer files also say whether a prompt counts, which is no way of pooling.
    modes: list[Pooling | None] = [_POOLINGS.get(name) for name in on - {"include_prompt"}]
    if len(modes) != 1 or modes[0] is None:
        raise StartError(
            f"The model in {path} pools its token vectors in another way than by mean or cls."
        )
    return modes[0]


def _max_tokens(path: Path) -> int:
    own = _read(path / "sentence_bert_config.json").get("max_seq_length")
    positions = _read(path / "config.json").get("max_position_embeddings")
    known = [number for number in (own, positions) if isinstance(number, int) and number > 0]
    return min(known, default=_DEFAULT_MAX_TOKENS)


def _languages(card: Mapping[str, Any]) -> frozenset[str] | None:
    listed = card.get("languages")
    return frozenset(map(str, cast("list[Any]", listed))) if isinstance(listed, list) else None


def _hash(files: tuple[Path, ...], facts: tuple[object, ...]) -> str:
    digest = hashlib.sha256(repr(facts).encode())
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:12]


def _read(file: Path) -> Mapping[str, Any]:
    return _mapping(_read_json(file))


def _read_json(file: Path) -> object:
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise StartError(f"{file} cannot be read as JSON.") from None


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
