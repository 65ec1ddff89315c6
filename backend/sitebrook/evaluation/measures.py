"""What rankings are worth, by the formulas of ir-measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sitebrook.errors import InvalidRequest, StartError

# Documents by question, best first.
Run = Mapping[str, Sequence[str]]
Relevant = Mapping[str, Mapping[str, int]]

NDCG: Final = "ndcg@10"
MEASURES: Final = (NDCG, "recall@5", "recall@10", "mrr@10")
_NAMES: Final = {"ndcg@10": "nDCG@10", "recall@5": "R@5", "recall@10": "R@10", "mrr@10": "RR@10"}
_DEPTH: Final = 10


def check_installed() -> None:
    """Raises StartError without the packages of the extra ``eval``."""
    try:
        import ir_measures  # noqa: F401 # pyright: ignore[reportUnusedImport]
        import rank_bm25  # noqa: F401 # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise StartError(
            "Measuring needs the extra 'eval': pip install 'sitebrook[eval]'."
        ) from None


def measure(relevant: Relevant, run: Run) -> dict[str, float]:
    """The mean of each measure over all judged questions; one without an answer counts 0."""
    return _calculate(relevant, run, MEASURES)


def measure_ndcg(relevant: Relevant, run: Run) -> float:
    """The mean nDCG@10 alone."""
    return _calculate(relevant, run, (NDCG,))[NDCG]


def check_bars(bars: Sequence[str]) -> dict[str, float]:
    """The least value of each measure, from texts such as ``ndcg@10=0.6``.

    Raises InvalidRequest.
    """
    found: dict[str, float] = {}
    for bar in bars:
        name, _, value = bar.lower().partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise InvalidRequest(f"'{bar}' is no bar; write it like ndcg@10=0.6.") from None
        if name.strip() not in MEASURES:
            known = ", ".join(MEASURES)
            raise InvalidRequest(f"'{name.strip()}' is not measured; there are {known}.")
    return found


def _calculate(relevant: Relevant, run: Run, names: Sequence[str]) -> dict[str, float]:
    import ir_measures

    library: Any = ir_measures
    measures = {name: library.parse_measure(_NAMES[name]) for name in names}
    qrels = {name: dict(documents) for name, documents in relevant.items()}
    # Scores that fall with the rank: ties cannot help or hurt.
    ranked = {
        name: {document: float(-rank) for rank, document in enumerate(documents[:_DEPTH])}
        for name, documents in run.items()
        if name in relevant
    }
    found = library.calc_aggregate(list(measures.values()), qrels, ranked)
    return {name: float(found[measure]) for name, measure in measures.items()}
