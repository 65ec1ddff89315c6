"""Files read as the tests of formats look at them."""

from __future__ import annotations

from sitebrook.ingestion.loaders import RawDocument, load
from sitebrook.ingestion.sections import LoadedDocument

Shown = list[tuple[tuple[str, ...], list[str]]]


def read(content: bytes | str, source: str = "a", **over: str) -> LoadedDocument:
    return load(RawDocument(source, content, **over), max_characters=1_000_000)


def shown(content: bytes | str, source: str = "a") -> Shown:
    """The headings of each section with the texts of its blocks."""
    return [
        (section.headings, [block.text for block in section.blocks])
        for section in read(content, source).sections
    ]
