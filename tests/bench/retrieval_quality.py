"""How good the passages of judged sets are, with each embedder."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.kept_vectors import KeptVectors
from tests.bench.report import Row, show

from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.evaluation.evaluate import Evaluation, Measured, evaluate, fill_site
from sitebrook.evaluation.judged import JudgedSet
from sitebrook.evaluation.measures import NDCG
from sitebrook.evaluation.runs import FUSED, KEYWORDS, RECIPE, VECTORS
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.reading import Reader
from sitebrook.retrieval.documents import list_documents
from sitebrook.retrieval.embedder import Embedder, HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.onnx.embedder import OnnxEmbedder
from sitebrook.retrieval.onnx.folder import read_folder
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.settings import Settings

KEYLESS = "keyless"
MINILM = "MiniLM"


@dataclass(frozen=True, slots=True)
class SetResult:
    """A set with one embedder; ``language`` is that of most documents."""

    embedder: str
    language: str
    found: Evaluation

    @property
    def name(self) -> str:
        return self.found.name


async def measure_sets(
    url: str, sets: Sequence[JudgedSet], model: Path | None, cache: Path
) -> list[SetResult]:
    """Every set with every embedder, the smallest first."""
    results: list[SetResult] = []
    database = Database(url)
    settings = Settings()
    pool = ComputePool(settings.compute)
    embedders = make_embedders(model, cache)
    try:
        for label, embedder in embedders.items():
            found = SiteEmbedders(database, embedder)
            measured = Measured(
                database,
                Ingester(database, found.find, Reader(pool, settings), Indexer(pool), settings),
                Searcher(database, [embedder], settings.retrieval),
                embedder.name,
            )
            for judged in sorted(sets, key=_characters):
                results.append(await _measure(measured, label, judged))
                print(to_tables(results[-1:])[1], file=sys.stderr)
                if isinstance(embedder, KeptVectors):
                    embedder.save()
    finally:
        await pool.aclose()
        for embedder in embedders.values():
            await embedder.aclose()
        await database.aclose()
    return results


def make_embedders(model: Path | None, cache: Path) -> dict[str, Embedder]:
    """The keyless one, and that of the model's folder with its vectors kept in ``cache``."""
    found: dict[str, Embedder] = {KEYLESS: HashingEmbedder()}
    if model is not None:
        settings = Settings()
        onnx = OnnxEmbedder(
            read_folder(model),
            min_similarity=settings.embedding.min_similarity,
            languages=None,
            threads=1,
            compute=settings.compute,
        )
        found[MINILM] = KeptVectors(onnx, cache)
    return found


async def _measure(measured: Measured, label: str, judged: JudgedSet) -> SetResult:
    print(f"{judged.name}, {label}", file=sys.stderr)

    def note(what: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what} {done} of {total}   ", end="", file=sys.stderr)

    site = await fill_site(measured, judged, note)
    found = await evaluate(measured, site.id, judged, tunes=False, on_progress=note)
    languages: Counter[str] = Counter()
    after = None
    while True:
        page = await list_documents(measured.database, site.id, limit=1000, after=after)
        languages.update(document.language for document in page.documents)
        if not page.has_more:
            break
        after = page.documents[-1].id
    return SetResult(label, languages.most_common(1)[0][0], found)


def _characters(judged: JudgedSet) -> int:
    return sum(len(document.text) for document in judged.documents)


def to_tables(results: Sequence[SetResult]) -> list[str]:
    """A line for each set and embedder."""
    head = f"  {'nDCG@10':30}" + "".join(f"{one:>12}" for one in _COLUMNS)
    lines = [head + f"{'chunks':>9}{'questions':>11}"]
    for one in results:
        values = one.found.measures
        cells = [
            values[KEYWORDS][NDCG],
            values[VECTORS][NDCG],
            values[FUSED][NDCG],
            values[RECIPE][NDCG],
            one.found.of_better_leg,
            one.found.of_recipe,
        ]
        name = f"{one.name} ({one.language}), {one.embedder}"
        lines.append(
            f"  {name:30}"
            + "".join(f"{cell:12.3f}" for cell in cells)
            + f"{one.found.chunks:9,}{one.found.questions:11,}"
        )
    return lines


_COLUMNS = ("BM25", "vectors", "both", "recipe", "/ better", "/ recipe")


def to_rows(results: Sequence[SetResult]) -> list[Row]:
    """The targets."""
    rows: list[Row] = []
    for label in dict.fromkeys(one.embedder for one in results):
        mine = [one for one in results if one.embedder == label]
        rows += _mean_row(f"{label}: both / better leg", _named(mine, "better"), 1.0, 0.92)
        rows += _mean_row(f"{label}: both / recipe", _named(mine, "recipe"), 1.06, 1.0)
        if label == KEYLESS:
            rows += _mean_row(f"{label}: both / BM25", _named(mine, "keywords"), 1.0, 0.98)
        rows += [
            _row(f"{label}: both / better leg, {one.name}", one.found.of_better_leg, 0.92)
            for one in mine
            if one.language != "en"
        ]
        rows += [
            _row(f"{label}: both / recipe, {one.name}", one.found.of_recipe, 1.0)
            for one in mine
            if one.language != "en"
        ]
    unanswered = sum(one.found.unanswered[FUSED] for one in results)
    rows.append(Row("questions without a result", show(unanswered), "0", unanswered == 0))
    return rows


def _named(results: Iterable[SetResult], other: str) -> dict[str, float]:
    ratios = {
        "better": lambda found: found.of_better_leg,
        "recipe": lambda found: found.of_recipe,
        "keywords": lambda found: found.ratio(FUSED, KEYWORDS),
    }
    return {one.name: ratios[other](one.found) for one in results}


def _mean_row(what: str, ratios: dict[str, float], mean: float, least: float) -> list[Row]:
    reached = statistics.geometric_mean(max(one, 1e-9) for one in ratios.values())
    worst = min(ratios, key=lambda name: ratios[name])
    return [
        _row(f"{what}, geometric mean", reached, mean),
        _row(f"{what}, worst set: {worst}", ratios[worst], least),
    ]


def _row(what: str, value: float, least: float) -> Row:
    return Row(what, f"{value:.3f} x", f">= {least:g} x", value >= least)
