"""Files and uploads as documents, by their type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal

from sitebrook.errors import BodyTooLarge, UnsupportedBody
from sitebrook.ingestion.decoding import clean, decode, refused
from sitebrook.ingestion.html import read_html
from sitebrook.ingestion.markdown import read_markdown
from sitebrook.ingestion.sections import LoadedDocument, Outline, to_text

Kind = Literal["markdown", "text", "html"]

_BY_EXTENSION: Final[dict[str, Kind]] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
}
_BY_MEDIA_TYPE: Final[dict[str, Kind]] = {
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/plain": "text",
    "text/html": "html",
    "application/xhtml+xml": "html",
}
_MAX_TITLE_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A document as it came. ``source`` makes it the same document when it comes again.

    ``title`` and ``url`` win over what the content says of itself.
    """

    source: str
    content: bytes | str
    media_type: str | None = None
    title: str | None = None
    url: str | None = None


def find_kind(source: str, media_type: str | None = None) -> Kind | None:
    """How the document is read: by its media type, else by its name; None is not at all.

    Plain text with the name of a Markdown or HTML file is read as that.
    """
    essence = (media_type or "").partition(";")[0].strip().lower()
    by_name = _BY_EXTENSION.get(PurePath(source).suffix.lower())
    if essence in {"", "text/plain", "application/octet-stream"} and by_name:
        return by_name
    return _BY_MEDIA_TYPE.get(essence)


def load(raw: RawDocument, *, max_characters: int) -> LoadedDocument:
    """The document's sections and text.

    Raises UnsupportedBody for a type that is not read, BodyTooLarge above ``max_characters``,
    InvalidRequest for content that is not text or has none.
    """
    kind = find_kind(raw.source, raw.media_type)
    if kind is None:
        what = raw.media_type or PurePath(raw.source).suffix or "no extension"
        raise UnsupportedBody(
            f"Documents of type {what} are not read; send Markdown, text or HTML.",
            param="content",
        )
    text = _text(raw, kind)
    if len(text) > max_characters:
        raise BodyTooLarge(
            f"The document has {len(text):,} characters; the limit is {max_characters:,} "
            "(SITEBROOK_MAX_DOCUMENT_CHARACTERS).",
            param="content",
        )
    outline, url = _read(text, kind)
    if not outline.sections:
        raise refused("it has no text")
    title = clean(raw.title or outline.title) or PurePath(raw.source).stem or raw.source
    return LoadedDocument(
        title=" ".join(title.split())[:_MAX_TITLE_CHARACTERS],
        url=clean(raw.url) if raw.url else url,
        sections=tuple(outline.sections),
        text=to_text(outline.sections),
    )


def _text(raw: RawDocument, kind: Kind) -> str:
    if isinstance(raw.content, str):
        return clean(raw.content)
    charset = (raw.media_type or "").lower().partition("charset=")[2].partition(";")[0]
    return clean(decode(raw.content, is_html=kind == "html", charset=charset.strip(" \"'") or None))


def _read(text: str, kind: Kind) -> tuple[Outline, str | None]:
    if kind == "markdown":
        return read_markdown(text)
    if kind == "html":
        return read_html(text)
    outline = Outline()
    for paragraph in text.split("\n\n"):
        outline.add(paragraph)
    outline.close()
    return outline, None
