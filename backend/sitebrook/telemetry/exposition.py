"""Figures as Prometheus reads them: text format 0.0.4.

Written here, not by prometheus_client: with every label set in use (22,000 lines) that takes
155 ms of the interpreter's lock, this less than a third.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from sitebrook.telemetry.series import Counts, Family, Labels, Snapshot

CONTENT_TYPE: Final = "text/plain; version=0.0.4"  # Litestar adds the charset
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def to_text(snapshot: Snapshot, families: Iterable[Family]) -> bytes:
    """The exposition of the families, those without a figure too."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.meaning}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        if family.kind == "histogram":
            # Whatever the labels are, the ends of the lines are the same.
            ends = [f'le="{bound}"}} ' for bound in (*family.bounds, "+Inf")]
            for labels, counts in snapshot.counts.get(family.name, ()):
                lines.extend(_to_lines(family, labels, counts, ends))
        else:
            for labels, value in snapshot.values.get(family.name, ()):
                pairs = _to_pairs(family, labels)
                lines.append(f"{family.name}{pairs and f'{{{pairs}}}'} {_to_number(value)}")
    return ("\n".join(lines) + "\n").encode()


def _to_lines(family: Family, labels: Labels, counts: Counts, ends: list[str]) -> Iterator[str]:
    pairs = _to_pairs(family, labels)
    head = f"{family.name}_bucket{{{pairs}{',' if pairs else ''}"
    total = 0
    for end, total in zip(ends, accumulate(counts.buckets), strict=True):
        yield f"{head}{end}{total}"
    braced = pairs and f"{{{pairs}}}"
    yield f"{family.name}_sum{braced} {counts.total!r}"
    yield f"{family.name}_count{braced} {total}"


def _to_pairs(family: Family, labels: Labels) -> str:
    return ",".join(
        f'{name}="{value.translate(_ESCAPES)}"'
        for name, value in zip(family.labels, labels, strict=True)
    )


def _to_number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
