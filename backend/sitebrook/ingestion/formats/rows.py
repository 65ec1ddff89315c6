"""Comma-separated values as a table."""

from __future__ import annotations

import csv
from typing import Final

from sitebrook.ingestion.decoding import refused
from sitebrook.ingestion.sections import Outline

_DELIMITERS: Final = ",;\t|"
_SAMPLE_LINES: Final = 20
_MAX_COLUMNS: Final = 1000


def read_rows(text: str, outline: Outline) -> None:
    """Adds the rows; the first is a header when it holds no number."""
    lines = text.split("\n")
    delimiter = _delimiter([line for line in lines[:_SAMPLE_LINES] if line.strip()])
    rows: list[list[str]] = []
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
    try:
        for row in reader:
            if len(row) > _MAX_COLUMNS:
                raise refused(
                    f"line {reader.line_num:,} has {len(row):,} columns; at most {_MAX_COLUMNS:,} "
                    "are read"
                )
            rows.append([" ".join(cell.split()) for cell in row])
    except csv.Error as error:
        raise refused(f"line {reader.line_num:,} is not CSV ({error})") from None
    rows = [row for row in rows if any(row)]
    has_header = bool(rows) and len(rows[0]) > 1 and not any(map(_is_number, rows[0]))
    outline.add_table(rows, has_header=has_header)
    outline.close()


def _delimiter(lines: list[str]) -> str:
    """The character that stands equally often in most lines, rather more often than not."""

    def fitness(delimiter: str) -> tuple[int, int]:
        counts = [line.count(delimiter) for line in lines]
        usual = max(set(counts), key=counts.count, default=0)
        return (counts.count(usual) if usual else 0), usual

    return max(_DELIMITERS, key=fitness)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
