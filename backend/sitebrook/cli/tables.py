"""Rows as aligned columns of plain text."""

from __future__ import annotations

from collections.abc import Sequence


def to_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows under their head, each column as wide as its longest value."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
