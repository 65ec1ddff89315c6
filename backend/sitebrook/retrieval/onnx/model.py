"""A model file as a function from texts to vectors; it blocks whoever calls it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from sitebrook.errors import StartError
from sitebrook.retrieval.onnx.folder import OnnxFolder, Pooling

# Texts of like length are run together, as long as they have no more tokens than these: larger
# batches are slower (DECISIONS.md, 40).
_BATCH_TOKENS: Final = 2_048
# What the runtime says when it gets no more memory.
_OUT_OF_MEMORY: Final = ("Failed to allocate memory", "bad_alloc")
_TINY: Final = 1e-9


class OnnxModel:
    """One loaded model with its tokenizer."""

    def __init__(self, folder: OnnxFolder, file: Path, *, threads: int) -> None:
        runtime, tokenizers = _import_packages()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads would turn in circles and take the processor from everything else.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
            tokenizer = tokenizers.Tokenizer.from_file(str(folder.tokenizer))
        except Exception as error:  # noqa: BLE001 - both libraries raise bare exceptions of their own
            raise StartError(f"The model {file} cannot be loaded: {error}") from None
        # Published tokenizers often cut and fill to a length of their own.
        tokenizer.enable_truncation(folder.max_tokens)
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._inputs = {one.name for one in self._session.get_inputs()}
        outputs = [one.name for one in self._session.get_outputs()]
        self._is_pooled = "sentence_embedding" in outputs
        self._output = "sentence_embedding" if self._is_pooled else outputs[0]
        self._pooling: Pooling = folder.pooling

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row of length one for each text, in order."""
        encodings = cast("list[Any]", self._tokenizer.encode_batch_fast(list(texts)))
        tokens = [cast("list[int]", encoding.ids) for encoding in encodings]
        order = sorted(range(len(tokens)), key=lambda at: -len(tokens[at]))
        parts: list[NDArray[np.float32]] = []
        done = 0
        while done < len(order):
            count = max(1, _BATCH_TOKENS // max(1, len(tokens[order[done]])))
            parts.append(self._run([tokens[at] for at in order[done : done + count]]))
            done += count
        if not parts:
            return np.zeros((0, 0), dtype=np.float32)
        rows = np.concatenate(parts)
        vectors = np.empty_like(rows)
        vectors[order] = rows
        return vectors

    def _run(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        shape = (len(tokens), max(1, max(map(len, tokens))))
        ids, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, line in enumerate(tokens):
            ids[row, : len(line)] = line
            mask[row, : len(line)] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        given = {name: array for name, array in feeds.items() if name in self._inputs}
        try:
            output: NDArray[np.float32] = self._session.run([self._output], given)[0]
        except Exception as error:  # the runtime's own have no class for this
            if any(sign in str(error) for sign in _OUT_OF_MEMORY):
                raise MemoryError(str(error)) from None
            raise
        pooled = output if self._is_pooled else _pool(output, mask, self._pooling)
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        return (pooled / np.maximum(lengths, _TINY)).astype(np.float32, copy=False)


def _pool(
    output: NDArray[np.float32], mask: NDArray[np.int64], pooling: Pooling
) -> NDArray[np.float32]:
    if pooling == "cls":
        return output[:, 0]
    weights = mask.astype(np.float32)[:, :, None]
    total = (output * weights).sum(axis=1)
    return np.asarray(total / np.maximum(weights.sum(axis=1), _TINY), dtype=np.float32)


def _import_packages() -> tuple[Any, Any]:
    try:
        return importlib.import_module("onnxruntime"), importlib.import_module("tokenizers")
    except ImportError:
        raise StartError(
            "An embedding folder needs onnxruntime and tokenizers: "
            "install them with `pip install 'sitebrook[local]'`."
        ) from None
