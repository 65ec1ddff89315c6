"""The styles of a Word document: which paragraphs are headings, and which are hidden."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from sitebrook.ingestion.formats.archive import Archive
from sitebrook.ingestion.formats.office import is_on, to_whole
from sitebrook.ingestion.formats.xml_stream import read_elements

_VALUE: Final = "w:val"
_HEADING: Final = re.compile(r"heading ([1-9])", re.IGNORECASE)
_CONTENTS: Final = re.compile(r"toc \d|toc heading|table of (?:figures|authorities)", re.IGNORECASE)
_TINY_HALF_POINTS: Final = 2
_LEVELS: Final = 9  # outline level 9 is body text


@dataclass(frozen=True, slots=True)
class Style:
    """What matters of a paragraph's style; ``level`` is that of a heading, from 1."""

    level: int | None = None
    is_title: bool = False
    is_list: bool = False
    is_contents: bool = False
    is_hidden: bool = False
    based_on: str = ""


class Styles:
    """The styles by id, each with what it has from those it is based on."""

    def __init__(self, archive: Archive, part: str | None) -> None:
        self._styles: dict[str, Style] = {}
        if part is None or part not in archive:
            return
        with archive.open(part) as source:
            for element in read_elements(source, "w:style"):
                self._styles[element.get("w:styleId", "")] = _to_style(element)

    def find(self, style_id: str) -> Style:
        """The style; one without any property for an id that is not known."""
        own = chain = self._styles.get(style_id, Style())
        level, is_list, is_hidden = own.level, own.is_list, own.is_hidden
        seen = {style_id}
        while chain.based_on and chain.based_on not in seen:
            seen.add(chain.based_on)
            chain = self._styles.get(chain.based_on, Style())
            level = chain.level if level is None else level
            is_list, is_hidden = is_list or chain.is_list, is_hidden or chain.is_hidden
        return Style(level, own.is_title, is_list, own.is_contents, is_hidden)


def heading_level(properties: Element | None) -> int | None:
    """The level of a heading that paragraph properties give, from 1."""
    found = properties.find("w:outlineLvl") if properties is not None else None
    level = to_whole(found.get(_VALUE)) if found is not None else None
    return level + 1 if level is not None and level < _LEVELS else None


def is_hidden(properties: Element | None) -> bool:
    """Whether run properties hide the text: said so, or too small to be seen."""
    if properties is None:
        return False
    hidden = properties.find("w:vanish")
    size = properties.find("w:sz")
    half_points = to_whole(size.get(_VALUE)) if size is not None else None
    is_tiny = half_points is not None and half_points <= _TINY_HALF_POINTS
    return is_tiny or (hidden is not None and is_on(hidden.get(_VALUE)))


def _to_style(element: Element) -> Style:
    name = _value(element, "w:name")
    named = _HEADING.fullmatch(name)
    properties = element.find("w:pPr")
    return Style(
        level=int(named[1]) if named else heading_level(properties),
        is_title=name.lower() == "title",
        is_list=properties is not None and properties.find("w:numPr") is not None,
        is_contents=_CONTENTS.fullmatch(name) is not None,
        is_hidden=is_hidden(element.find("w:rPr")),
        based_on=_value(element, "w:basedOn"),
    )


def _value(element: Element, tag: str) -> str:
    found = element.find(tag)
    return found.get(_VALUE, "") if found is not None else ""
