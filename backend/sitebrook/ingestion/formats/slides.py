"""Presentations (.pptx) as sections, one for each slide that is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from sitebrook.ingestion.formats.archive import Archive
from sitebrook.ingestion.formats.office import (
    find_main_part,
    is_on,
    read_relationships,
    read_title,
)
from sitebrook.ingestion.formats.xml_stream import descend, read_elements, read_first
from sitebrook.ingestion.sections import Outline

_TITLES: Final = frozenset({"title", "ctrTitle"})
# What stands on every slide alike.
_FURNITURE: Final = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})
_TITLE_LEVEL: Final = 1
_SLIDE_LEVEL: Final = 2
_GROUPS: Final = frozenset({"p:grpSp", "mc:AlternateContent", "mc:Choice"})


def read_slides(content: bytes, outline: Outline) -> None:
    """Adds a section for each slide; hidden slides and speakers' notes are not for readers."""
    archive = Archive(content)
    part = find_main_part(archive)
    slides = read_relationships(archive, part)
    with archive.open(part) as source:
        listed = [one.get("r:id", "") for one in read_elements(source, "p:sldId")]
    for slide_id in listed:
        slide = slides.get(slide_id)
        if slide is not None and slide.target in archive:
            with archive.open(slide.target) as source:
                _read_slide(read_first(source, "p:sld"), outline)
    outline.close()
    outline.title = outline.title or read_title(archive)


def _read_slide(slide: Element | None, outline: Outline) -> None:
    tree = descend(slide, "p:cSld", "p:spTree")
    if slide is None or tree is None or not is_on(slide.get("show")):
        return
    shapes = list(_shapes(tree))
    titles = [_text(shape) for shape in shapes if _placeholder(shape) in _TITLES]
    title = " ".join(" ".join(titles).split())
    outline.open(_SLIDE_LEVEL if outline.title else _TITLE_LEVEL, title)
    for shape in shapes:
        if shape.tag == "a:tbl":
            _add_table(shape, outline)
        elif _placeholder(shape) not in _TITLES | _FURNITURE:
            outline.add(_text(shape))
    if title and not outline.has_blocks:
        outline.add(title)  # a slide of nothing but a title


def _shapes(tree: Element) -> Iterator[Element]:
    """The shapes with text, and the tables, in their order; hidden ones are left out."""
    for child in tree:
        if _is_hidden(child):
            continue
        if child.tag == "p:sp":
            yield child
        elif child.tag == "p:graphicFrame":
            yield from child.iter("a:tbl")
        elif child.tag in _GROUPS:
            yield from _shapes(child)


def _is_hidden(shape: Element) -> bool:
    properties = shape[0].find("p:cNvPr") if len(shape) else None
    return (
        properties is not None and "hidden" in properties.attrib and is_on(properties.get("hidden"))
    )


def _placeholder(shape: Element) -> str:
    found = descend(shape, "p:nvSpPr", "p:nvPr", "p:ph")
    return found.get("type", "body") if found is not None else ""


def _add_table(table: Element, outline: Outline) -> None:
    rows = [[" ".join(_text(cell).split()) for cell in row.iter("a:tc")]
            for row in table.iter("a:tr")]  # fmt: skip
    outline.add_table(rows, has_header=bool(rows) and all(rows[0]))


def _text(shape: Element) -> str:
    lines = ("".join(_words(paragraph)).strip() for paragraph in shape.iter("a:p"))
    return "\n".join(line for line in lines if line)


def _words(paragraph: Element) -> Iterator[str]:
    for child in paragraph.iter():
        if child.tag in {"a:t", "m:t"}:
            yield child.text or ""
        elif child.tag == "a:br":
            yield "\n"
