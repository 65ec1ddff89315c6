"""The streaming bench from end to end, with a few streams: its figures are not looked at."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers import clean_environment

_BENCH_S = 300
_ROOT = Path(__file__).resolve().parents[2]


def _bench(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=_BENCH_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.soak
def test_the_streaming_bench_prints_its_tables_and_the_targets() -> None:
    printed = _bench("streaming", "--tiny", "--without", "litellm", "--markdown")
    assert "failed" not in printed
    assert "not finished" not in printed
    for part in ("idle streams", "saturation", "plain JSON", "CPU/chunk us", "Targets"):
        assert part in printed
    assert "| CPU of a chunk, 2 streams |" in printed
    assert "| CPU of a chunk that the log adds, 2 streams |" in printed


@pytest.mark.soak
def test_the_profile_bench_holds_its_load() -> None:
    printed = _bench("profile", "--load-only", "--seconds", "1", "--streams", "2")
    assert "us CPU of a chunk" in printed


@pytest.mark.soak
def test_the_events_bench_prints_its_table() -> None:
    printed = _bench("events", "--tiny", "--markdown")
    assert "missing" not in printed
    for part in ("1 stream to 1,000 readers, through Redis", "CPU of a delta", "| what |"):
        assert part in printed


@pytest.mark.soak
def test_the_jobs_bench_prints_its_table() -> None:
    printed = _bench("jobs", "--tiny", "--markdown")
    for part in ("enqueue to start p99", "memory of an idle worker", "| what |"):
        assert part in printed


@pytest.mark.soak
def test_the_retrieval_bench_prints_its_tables(tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "demo"
    shutil.copytree(_ROOT / "tests/judged/demo", folder)
    documents = [
        {"id": file.name, "title": file.stem, "text": file.read_text("utf-8")}
        for file in (_ROOT / "backend/sitebrook/demo/documents").glob("*.md")
    ]
    lines = "".join(f"{json.dumps(one)}\n" for one in documents)
    (folder / "corpus.jsonl").write_text(lines, "utf-8")
    small = ("--without-model", "--sizes", "400", "--documents", "100", "--markdown")
    printed = _bench("retrieval", str(folder.parent), *small)
    for part in (
        "demo (en), keyless",
        "rank-bm25 p50",
        "whole search",
        "keyless: 100 documents",
        "| what |",
    ):
        assert part in printed
