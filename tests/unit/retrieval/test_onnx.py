"""A tiny model in a folder, run by the real runtime."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.fakes.onnx_folder import TABLE, make_folder, make_greedy_model, make_model

from sitebrook.errors import StartError, Unavailable, WorkFailed
from sitebrook.retrieval.onnx.embedder import OnnxEmbedder, to_memory_bytes
from sitebrook.retrieval.onnx.export import find_model, read_languages
from sitebrook.retrieval.onnx.folder import read_folder
from sitebrook.retrieval.onnx.model import OnnxModel
from sitebrook.settings import ComputeSettings


def unit(*rows: int) -> np.ndarray:
    mean = TABLE[list(rows)].mean(axis=0)
    return mean / np.linalg.norm(mean)


def make_embedder(folder: Path, *, threads: int = 2) -> OnnxEmbedder:
    return OnnxEmbedder(
        read_folder(folder),
        min_similarity=0.3,
        languages=None,
        threads=threads,
        compute=ComputeSettings(),
    )


def test_texts_of_all_lengths_become_the_mean_of_their_words(tmp_path: Path) -> None:
    folder = read_folder(make_folder(tmp_path))
    model = OnnxModel(folder, folder.model, threads=1)
    texts = ["shoe", "shoe boot return", "", "parcel " * 50, "boot"] + ["return"] * 70
    rows = model.encode(texts)
    assert rows.shape == (75, 4)
    assert rows.dtype == np.float32
    expected = [unit(2), unit(2, 3, 4), np.zeros(4), unit(5), unit(3)] + [unit(4)] * 70
    assert np.allclose(rows, expected, atol=1e-6)
    alone = [model.encode([text])[0] for text in texts]
    assert np.allclose(alone, expected, atol=1e-6)
    assert model.encode([]).shape == (0, 0)


def test_what_the_model_pools_itself_is_taken(tmp_path: Path) -> None:
    folder = read_folder(make_folder(tmp_path, is_pooled=True))
    rows = OnnxModel(folder, folder.model, threads=1).encode(["boot shoe", "parcel"])
    assert np.allclose(rows, [unit(3), unit(5)], atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
        {"pooling_mode": "cls", "include_prompt": True},
    ],
)
def test_pooling_by_the_first_token_is_the_folder_s_choice(tmp_path: Path, config: dict) -> None:
    folder = read_folder(make_folder(tmp_path, files={"1_Pooling/config.json": config}))
    rows = OnnxModel(folder, folder.model, threads=1).encode(["boot shoe"])
    assert np.allclose(rows, [unit(3)], atol=1e-6)


def test_a_text_is_cut_where_the_folder_says(tmp_path: Path) -> None:
    folder = read_folder(make_folder(tmp_path))
    assert folder.max_tokens == 6
    rows = OnnxModel(folder, folder.model, threads=1).encode(["shoe " * 6 + "return " * 6])
    assert np.allclose(rows, [unit(2)], atol=1e-6)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1_Pooling/config.json": {"pooling_mode_max_tokens": True}}, "another way than by mean"),
        ({"1_Pooling/config.json": {"pooling_mode": "lasttoken"}}, "another way than by mean"),
        ({"modules.json": [{"type": "sentence_transformers.models.Dense"}]}, "a step 'Dense'"),
    ],
)
def test_a_model_that_needs_more_is_refused(tmp_path: Path, files: dict, message: str) -> None:
    with pytest.raises(StartError, match=message):
        read_folder(make_folder(tmp_path, files=files))


def test_a_folder_without_its_files_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no model\.onnx; make one with `sitebrook embedder exp"):
        read_folder(tmp_path)
    make_folder(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(StartError, match=r"no tokenizer\.json"):
        read_folder(tmp_path)
    make_folder(tmp_path)
    (tmp_path / "sentence_bert_config.json").write_text("{", "utf-8")
    with pytest.raises(StartError, match="cannot be read as JSON"):
        read_folder(tmp_path)


async def test_a_file_that_is_no_model_is_refused_when_it_is_used(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    embedder = make_embedder(tmp_path)
    with pytest.raises(Unavailable, match="cannot be loaded"):
        await embedder.embed(["shoe"])
    with pytest.raises(StartError, match="cannot be loaded"):
        await embedder.embed_question("shoe")
    await embedder.aclose()


def test_the_name_changes_with_what_the_vectors_depend_on(tmp_path: Path) -> None:
    card = {"sitebrook.json": {"name": "tiny", "languages": ["en"]}}
    first = read_folder(make_folder(tmp_path / "a", files=card))
    same = read_folder(make_folder(tmp_path / "b", subfolder="onnx", files=card))
    other = read_folder(make_folder(tmp_path / "c", table=TABLE * 2, files=card))
    prompts = {**card, "config_sentence_transformers.json": {"prompts": {"document": "passage: "}}}
    prompted = read_folder(make_folder(tmp_path / "d", files=prompts))
    assert first.name == same.name
    assert first.name.startswith("onnx:tiny@")
    assert len({first.name, other.name, prompted.name}) == 3
    assert first.languages == {"en"}
    assert read_folder(make_folder(tmp_path / "e")).name.startswith("onnx:e@")


async def test_questions_go_through_the_smaller_model_with_their_own_prompt(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "query: ", "passage": "passage: "}}
    make_folder(tmp_path, files={"config_sentence_transformers.json": prompts})
    onnx.save(make_model(TABLE + np.float32(0.25)), str(tmp_path / "model_int8.onnx"))
    embedder = make_embedder(tmp_path)
    question, documents = await embedder.embed_question("shoe"), await embedder.embed(["shoe"])
    shifted = (TABLE + 0.25)[[6, 2]].mean(axis=0)
    assert np.allclose(question, shifted / np.linalg.norm(shifted), atol=1e-6)
    assert np.allclose(documents, [unit(7, 2)], atol=1e-6)
    await embedder.aclose()


async def test_the_loop_goes_on_and_close_ends_the_child(tmp_path: Path) -> None:
    make_folder(tmp_path)
    embedder = make_embedder(tmp_path)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    assert (await embedder.embed(["shoe boot"] * 500)).shape == (500, 4)
    ticking.cancel()
    assert ticks > 100
    assert (await embedder.embed([])).shape == (0, 0)
    assert (await embedder.embed(["\ud800 shoe"])).shape == (1, 4)
    await embedder.embed_question("shoe")
    (child,) = find_children()
    assert any(thread.name.startswith("onnx") for thread in threading.enumerate())
    await embedder.aclose()
    assert not find_children()
    assert not child.exists()
    assert not any(thread.name.startswith("onnx") for thread in threading.enumerate())


async def test_a_child_keeps_its_model_and_another_one_loads_it_again(tmp_path: Path) -> None:
    make_folder(tmp_path)
    embedder = make_embedder(tmp_path)
    first = await embedder.embed(["shoe"] * 33)
    (child,) = find_children()
    (tmp_path / "tokenizer.json").rename(tmp_path / "away.json")
    assert np.array_equal(await embedder.embed(["shoe"] * 33), first)
    assert find_children() == [child]
    (tmp_path / "away.json").rename(tmp_path / "tokenizer.json")
    os.kill(int(child.name), signal.SIGKILL)
    (idle,) = embedder._pool._idle
    while idle.is_ready:
        await asyncio.sleep(0.01)
    assert np.array_equal(await embedder.embed(["shoe"] * 33), first)
    await embedder.aclose()


async def test_another_model_is_not_taken_for_the_one_of_the_start(tmp_path: Path) -> None:
    make_folder(tmp_path)
    embedder = make_embedder(tmp_path)
    make_folder(tmp_path, table=TABLE * 2)
    with pytest.raises(Unavailable, match="another one than when this process started"):
        await embedder.embed(["shoe"])
    await embedder.aclose()


async def test_a_model_that_needs_too_much_memory_is_ended_with_a_reason(tmp_path: Path) -> None:
    make_folder(tmp_path)
    # Of 4 bytes each: one word has room beside its child, five have not.
    onnx.save(make_greedy_model(100_000_000), str(tmp_path / "model.onnx"))
    embedder = make_embedder(tmp_path)
    assert np.allclose(await embedder.embed(["shoe"]), [unit(2)], atol=1e-6)
    with pytest.raises(WorkFailed) as raised:
        await embedder.embed(["shoe boot return parcel shoe"])
    assert raised.value.cause == "memory"
    assert (await embedder.embed(["shoe"])).shape == (1, 4)
    await embedder.aclose()


async def test_a_child_whose_model_does_not_load_becomes_nicer_once(tmp_path: Path) -> None:
    make_folder(tmp_path)
    model = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(b"no model")
    embedder = make_embedder(tmp_path)
    for _ in range(3):
        with pytest.raises(Unavailable, match="cannot be loaded"):
            await embedder.embed(["shoe"])
    (child,) = find_children()
    (tmp_path / "model.onnx").write_bytes(model)
    embedder._folder = read_folder(tmp_path)
    embedder.name = embedder._folder.name
    await embedder.embed(["shoe"])
    assert find_children() == [child]
    threads = [
        (one / "stat").read_text().rpartition(")")[2].split() for one in child.glob("task/*")
    ]
    # Those that the model started, too; the field is the 19th, the state the 3rd.
    assert len(threads) > 1
    assert {int(one[19 - 3]) for one in threads} == {os.nice(0) + 10}
    await embedder.aclose()


def test_threads_are_as_many_as_there_are_cores_but_one_and_no_more_than_eight(
    tmp_path: Path,
) -> None:
    make_folder(tmp_path)
    allowed = os.sched_getaffinity(0)
    made = [make_embedder(tmp_path, threads=threads) for threads in (0, 12)]
    assert made[0]._threads == min(max(len(allowed) - 1, 1), 8)
    assert made[1]._threads == 12
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert make_embedder(tmp_path, threads=0)._threads == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_child_may_have_what_its_model_needs(tmp_path: Path) -> None:
    folder = read_folder(make_folder(tmp_path))
    before = to_memory_bytes(folder, 1)
    (folder.model.parent / "model.onnx_data").write_bytes(bytes(1_000_000))
    assert to_memory_bytes(folder, 1) == before + 3_000_000
    assert to_memory_bytes(folder, 9) == before + 3_000_000 + 8 * 10 * 1024**2
    longer = replace(folder, max_tokens=8_192)
    assert to_memory_bytes(longer, 1) > before + 8_000_000_000


def find_children() -> list[Path]:
    """The processes of this one that are children of a pool, and alive."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
            command = (status.parent / "cmdline").read_bytes()
            if int(parent) == os.getpid() and state != "Z" and b"compute.child" in command:
                found.append(status.parent)
    return found


def test_a_model_to_export_is_a_folder_or_what_a_package_ships(tmp_path: Path, monkeypatch) -> None:
    package = tmp_path / "my_model"
    make_folder(package / "model", files={"modules.json": []})
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_model("my-model") == package / "model"
    assert find_model(str(package / "model")) == package / "model"
    for missing in ("no-such-package", "json", "../x"):
        with pytest.raises(StartError, match="neither a folder"):
            find_model(missing)


@pytest.mark.parametrize(
    ("readme", "languages"),
    [
        ("---\nlanguage: en\nlicense: mit\n---\n# M", ("en",)),
        ("---\nlanguage:\n- en\n- 'it'\ntags:\n- x\n---\n", ("en", "it")),
        ("---\nlanguage: [en, de]\n---\n", ("en", "de")),
        ("---\nlanguage: multilingual\n---\n", ()),
        ("# language: en\n", ()),
        (None, ()),
    ],
)
def test_languages_are_read_from_the_head_of_the_readme(
    tmp_path: Path, readme: str | None, languages: tuple[str, ...]
) -> None:
    if readme is not None:
        (tmp_path / "README.md").write_text(readme, "utf-8")
    assert read_languages(tmp_path) == languages
