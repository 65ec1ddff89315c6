"""A folder with a tiny model, as sentence-transformers would publish it: a vector for each word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tokenizers
from onnx import TensorProto, helper, numpy_helper

WORDS = ("[PAD]", "[UNK]", "shoe", "boot", "return", "parcel", "query:", "passage:")
DIMENSION = 4
# Shoes are near boots and returns near parcels.
TABLE = np.array(
    [
        [9, 9, 9, 9],  # padding: far off, so that a mask that is not applied shows
        [0, 0, 0, 1],
        [1, 0.1, 0, 0],
        [1, 0.2, 0, 0],
        [0, 0.1, 1, 0],
        [0, 0.2, 1, 0],
        [0, 0, 0, 3],
        [0, 0, 0, 5],
    ],
    dtype=np.float32,
)


def make_folder(
    folder: Path,
    *,
    table: np.ndarray = TABLE,
    is_pooled: bool = False,
    subfolder: str = "",
    files: Mapping[str, Any] | None = None,
) -> Path:
    """The folder; ``files`` are further JSON files, None leaves out one that is otherwise made."""
    place = folder / subfolder
    place.mkdir(parents=True, exist_ok=True)
    onnx.save(make_model(table, is_pooled=is_pooled), str(place / "model.onnx"))
    vocabulary = {word: at for at, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    # Published files often cut and fill to a length of their own.
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=32)
    tokenizer.save(str(folder / "tokenizer.json"))
    given = {"sentence_bert_config.json": {"max_seq_length": 6}, **(files or {})}
    for name, content in given.items():
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(content), "utf-8")
    return folder


def make_model(table: np.ndarray = TABLE, *, is_pooled: bool = False) -> onnx.ModelProto:
    """Looks each word up; pooled, it gives the first word's vector of each text."""
    table = table.astype(np.float32)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["texts", "tokens"])
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["token_embeddings"])]
    constants = [numpy_helper.from_array(table, "table")]
    shape: list[Any] = ["texts", "tokens", table.shape[1]]
    outputs = [helper.make_tensor_value_info("token_embeddings", TensorProto.FLOAT, shape)]
    if is_pooled:
        constants.append(numpy_helper.from_array(np.array(0, dtype=np.int64), "first"))
        nodes.append(
            helper.make_node(
                "Gather", ["token_embeddings", "first"], ["sentence_embedding"], axis=1
            )
        )
        shape = ["texts", table.shape[1]]
        outputs.append(
            helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, shape)
        )
    graph = helper.make_graph(nodes, "tiny", [ids, mask], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def make_greedy_model(numbers: int) -> onnx.ModelProto:
    """One that makes so many numbers of single precision for each word, and leaves them unused."""
    model = make_model()
    nodes, constants = model.graph.node, model.graph.initializer
    nodes[0].output[0] = "found"
    constants.append(numpy_helper.from_array(np.array([numbers], dtype=np.int64), "numbers"))
    constants.append(numpy_helper.from_array(np.array([2], dtype=np.int64), "last"))
    nodes.extend(
        [
            helper.make_node("Shape", ["input_ids"], ["shape"]),
            helper.make_node("Concat", ["shape", "numbers"], ["whole"], axis=0),
            helper.make_node("ConstantOfShape", ["whole"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros", "last"], ["nothing"], keepdims=1),
            helper.make_node("Add", ["found", "nothing"], ["token_embeddings"]),
        ]
    )
    return model
