"""Retrieval: how good it is on judged sets, how fast on large sites, how documents are taken in."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import (
    retrieval_bm25,
    retrieval_ingest,
    retrieval_lag,
    retrieval_quality,
    retrieval_search,
)
from tests.bench.report import Row, processor, verdict
from tests.servers import NotStarted

from sitebrook.db import embedded
from sitebrook.db.migrate import migrate
from sitebrook.evaluation.judged import QUESTIONS, JudgedSet, read_set

SUMMARY = "passages of judged sets beside rank-bm25; speed of large sites; documents taken in"
_CACHE = Path("~/.cache/sitebrook-bench").expanduser()
_PARTS = ("quality", "bm25", "search", "ingest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    add = parser.add_argument
    add("folder", type=Path, help="a folder of folders with judged questions and documents")
    add("--only", choices=_PARTS, action="append", help="measure this only; may be repeated")
    add("--sets", nargs="+", metavar="NAME", help="these sets only")
    add("--model", type=Path, default=_CACHE / "minilm", help="exported model (%(default)s)")
    add("--without-model", action="store_true", help="the keyless embedder only")
    add("--cache", type=Path, default=_CACHE, help="where its vectors are kept (%(default)s)")
    add("--sizes", nargs="+", type=int, metavar="CHUNKS", help="of the parts bm25 and search")
    add("--documents", type=int, default=retrieval_ingest.DOCUMENTS, help="of the ingest part")
    add("--markdown", action="store_true", help="print the table for backend/README.md too")


def run(options: argparse.Namespace) -> None:
    """Measures and prints the tables."""
    sets = _read_sets(options.folder, options.sets)
    model = None if options.without_model else options.model
    parts = options.only or _PARTS
    if model is not None and not model.is_dir() and {"quality", "ingest"} & set(parts):
        raise NotStarted(
            f"there is no model in {model}: make it with `sitebrook embedder export`, name its "
            "folder with --model, or use --without-model"
        )
    rows: list[Row] = []
    lines: list[str] = []
    with _database() as server:
        if "quality" in parts:
            found = retrieval_quality.measure_sets(server.url, sets, model, options.cache)
            results = asyncio.run(found)
            lines += retrieval_quality.to_tables(results)
            rows += retrieval_quality.to_rows(results)
        if "bm25" in parts:
            compared = retrieval_bm25.compare(sets, options.sizes or retrieval_bm25.SIZES)
            lines += ["", *retrieval_bm25.to_tables(compared)]
            rows += retrieval_bm25.to_rows(compared)
        if "search" in parts:
            sizes = options.sizes or retrieval_search.SIZES
            speeds = retrieval_search.measure_searches(server, sets, sizes)
            lines += ["", *retrieval_search.to_tables(speeds)]
            rows += retrieval_search.to_rows(speeds)
        if "ingest" in parts:
            ingested = retrieval_ingest.measure_ingest(server.url, sets, model, options.documents)
            lines += ["", *retrieval_ingest.to_tables(ingested)]
            rows += retrieval_ingest.to_rows(ingested)
            lag = retrieval_lag.measure_lag(server.url, sets, max(1, options.documents // 20))
            lines += retrieval_lag.to_tables(lag)
            rows += retrieval_lag.to_rows(lag)
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("\n".join(lines))
    print("\nTargets")
    for row in rows:
        print(f"  {row.what:58}{row.value:>30}   {row.target:32}{verdict(row)}")
    if options.markdown:
        print("\n| what | measured | target | reached |\n|---|---|---|---|")
        for row in rows:
            print(f"| {row.what} | {row.value} | {row.target} | {verdict(row)} |")


def _read_sets(folder: Path, names: list[str] | None) -> list[JudgedSet]:
    found = sorted(one.parent for one in folder.glob(f"*/{QUESTIONS}"))
    sets = [read_set(one) for one in found if names is None or one.name in names]
    if not sets:
        raise NotStarted(f"{folder} has no folder with {QUESTIONS}; `sitebrook eval` tells more")
    return sets


@contextlib.contextmanager
def _database() -> Iterator[retrieval_search.Server]:
    with tempfile.TemporaryDirectory(prefix="sitebrook-bench-") as folder:
        place = Path(folder)
        place.chmod(0o755)  # as root, the server's own user must reach it
        server = embedded.start(place / "data")
        try:
            migrate(server.url)
            (file,) = place.rglob("postmaster.pid")
            yield retrieval_search.Server(server.url, int(file.read_text().split()[0]))
        finally:
            server.stop()
