"""What a child process does with a document: from its bytes to chunks. Imports little."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sitebrook.ingestion.chunks import Chunk, SizesInCharacters, document_language, to_chunks
from sitebrook.ingestion.loaders import RawDocument, load


class ReadRequest(msgspec.Struct, frozen=True):
    """A document as it came, and how it is to be read and cut."""

    source: str
    content: bytes
    is_text: bool
    media_type: str | None
    title: str | None
    url: str | None
    language: str
    max_characters: int
    sizes: SizesInCharacters


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document, read and cut."""

    title: str
    url: str | None
    language: str
    text: str
    chunks: tuple[Chunk, ...]


def read(asked: ReadRequest) -> ReadDocument:
    """The document's content in chunks; raises what ``load`` raises."""
    content = asked.content.decode() if asked.is_text else asked.content
    raw = RawDocument(asked.source, content, asked.media_type, asked.title, asked.url)
    loaded = load(raw, max_characters=asked.max_characters)
    language = document_language(loaded, asked.language)
    return ReadDocument(
        title=loaded.title,
        url=loaded.url,
        language=language,
        text=loaded.text,
        chunks=to_chunks(loaded, asked.sizes, language),
    )
