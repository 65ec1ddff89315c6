"""Making the folder that the embedder runs from, out of a sentence-transformers model."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sitebrook.errors import StartError
from sitebrook.retrieval.onnx.folder import CARD, MODEL, QUESTION_MODEL, read_folder
from sitebrook.retrieval.onnx.model import OnnxModel

_COPIED: Final = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
)
_OPSET: Final = 17
# The largest difference of a number of a vector of length one; float32 rounding stays below 1e-6.
_MAX_DIFFERENCE: Final = 1e-4
_MIN_INT8_COSINE: Final = 0.95
_LANGUAGE: Final = re.compile(r"^language:[ \t]*(?:\[(.*)\]|([a-z]{2})?)[ \t]*$", re.MULTILINE)
_LISTED: Final = re.compile(
    r"^language:[ \t]*\n((?:[ \t]*- *[\"']?[a-z]{2,3}[\"']?[ \t]*\n)+)", re.MULTILINE
)
_CODE: Final = re.compile(r"\b[a-z]{2}\b")

# One text alone, and texts of very different lengths together: a wrong mask shows in the second.
_SENTENCES: Final = (
    "Opening hours",
    "How do I return a pair of shoes that I bought in the online shop last week?",
    "",
    "ERR_CONN-42: connection refused by 10.0.0.2:8080 (v2.3.1)",
    "La biblioteca è aperta dal lunedì al venerdì, dalle nove alle diciotto.",
    "東京の天気はどうですか。",
    "The warranty covers parts and labour for two years. " * 12,
    "Every paragraph of this text is longer than what the model reads at once. " * 60,
)


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What was made: ``difference`` from the original's vectors, the cosine of the smaller model.

    ``int8_cosine`` is None when the smaller model was left out because it is too far off.
    """

    folder: Path
    name: str
    dimension: int
    difference: float
    int8_cosine: float | None


def export(source: str, folder: Path, *, languages: Sequence[str] = ()) -> ExportedModel:
    """The folder made of a local model or of the one that an installed package ships.

    Languages are read from the model's README unless given. The new model's vectors are compared
    with the original's before the folder appears. Raises StartError.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StartError(f"{folder} is not empty; name a folder that is not there yet.")
    model_folder = find_model(source)
    original = _load_original(model_folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as made:
        target = Path(made) / "model"
        _copy(model_folder, target)
        _write_card(target, Path(source).name, languages or read_languages(model_folder))
        _write_model(original, target / MODEL)
        exported = _check(original, target)
        target.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        target.rename(folder)
    return ExportedModel(folder, *exported)


def find_model(source: str) -> Path:
    """The folder of the model: ``source`` itself, or the one inside the package of that name."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    name = source.replace("-", "_").replace(".", "_")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        found = sorted(Path(place).rglob("modules.json")) or sorted(
            Path(place).rglob("config.json")
        )
        if found:
            return found[0].parent
    raise StartError(
        f"'{source}' is neither a folder with a sentence-transformers model nor an installed "
        "package that ships one."
    )


def read_languages(model_folder: Path) -> tuple[str, ...]:
    """The languages that the model's README names at its head; empty when it does not."""
    readme = model_folder / "README.md"
    if not readme.is_file():
        return ()
    head = readme.read_text("utf-8", "replace")[:5000].partition("\n---")[0] + "\n"
    found = _LANGUAGE.search(head)
    listed = _LISTED.search(head)
    named = listed[1] if listed else (found[1] or found[2] or "") if found else ""
    return tuple(dict.fromkeys(_CODE.findall(named)))


def _load_original(model_folder: Path) -> Any:
    try:
        for name in ("onnx", "torch"):
            importlib.import_module(name)
        packages = importlib.import_module("sentence_transformers")
    except ImportError:
        raise StartError(
            "Exporting needs torch, sentence-transformers and onnx: "
            "install them with `pip install 'sitebrook[export]'`."
        ) from None
    # Attention in plain operations: the fused kernels do not take the exporter's dynamic shapes.
    return packages.SentenceTransformer(
        str(model_folder), device="cpu", model_kwargs={"attn_implementation": "eager"}
    )


def _copy(model_folder: Path, target: Path) -> None:
    for name in _COPIED:
        file = model_folder / name
        if file.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)
    if not (target / "tokenizer.json").is_file():
        raise StartError(f"The model in {model_folder} has no tokenizer.json.")


def _write_card(target: Path, name: str, languages: Sequence[str]) -> None:
    card = {"name": name, **({"languages": list(languages)} if languages else {})}
    (target / CARD).write_text(json.dumps(card, indent=2) + "\n", "utf-8")


def _write_model(original: Any, file: Path) -> None:
    torch: Any = importlib.import_module("torch")
    transformer = original[0].auto_model.eval()
    tokens = original.tokenize(["A short text.", "A text that is a good deal longer than that."])
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in tokens]

    class Traced(torch.nn.Module):
        """Takes its arrays by position and gives the token vectors alone, as the exporter wants."""

        def forward(self, *arrays: Any) -> Any:
            return self.transformer(**dict(zip(names, arrays, strict=True))).last_hidden_state

    traced: Any = Traced()
    traced.transformer = transformer
    axes = {0: "texts", 1: "tokens"}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            traced,
            tuple(tokens[name] for name in names),
            str(file),
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes={**dict.fromkeys(names, axes), "last_hidden_state": axes},
            opset_version=_OPSET,
            dynamo=False,
        )


def _check(original: Any, target: Path) -> tuple[str, int, float, float | None]:
    """Name, dimension, difference, int8 cosine; the smaller model is made and judged here."""
    expected = original.encode(list(_SENTENCES), normalize_embeddings=True)
    folder = read_folder(target)
    whole = OnnxModel(folder, folder.model, threads=1)
    together = whole.encode(_SENTENCES)
    alone = np.concatenate([whole.encode([sentence]) for sentence in _SENTENCES])
    difference = float(max(np.abs(together - expected).max(), np.abs(alone - expected).max()))
    if difference > _MAX_DIFFERENCE:
        raise StartError(
            f"The exported model gives other vectors than the original (they differ by "
            f"{difference:.4f}); nothing was written."
        )
    return folder.name, int(together.shape[1]), difference, _make_int8(target, expected)


def _make_int8(target: Path, expected: Any) -> float | None:
    quantization: Any = importlib.import_module("onnxruntime.quantization")
    file = target / QUESTION_MODEL
    quantization.quantize_dynamic(
        str(target / MODEL),
        str(file),
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
    )
    rows = OnnxModel(read_folder(target), file, threads=1).encode(_SENTENCES)
    cosine = float((rows * expected).sum(axis=1).min())
    if cosine < _MIN_INT8_COSINE:
        file.unlink()
        return None
    return cosine
