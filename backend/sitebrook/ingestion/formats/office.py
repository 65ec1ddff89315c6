"""What the three Office formats share: parts that name each other by relationships."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Final

from sitebrook.ingestion.decoding import refused
from sitebrook.ingestion.formats.archive import Archive
from sitebrook.ingestion.formats.xml_stream import read_elements, read_first

_FALSE: Final = frozenset({"0", "false", "off", "none"})
_DIGITS: Final = 9
_TITLE_PART: Final = "docProps/core.xml"


@dataclass(frozen=True, slots=True)
class Relationship:
    """A part that another one names; ``kind`` is the last word of its type."""

    kind: str
    target: str


def read_relationships(archive: Archive, part: str) -> dict[str, Relationship]:
    """The parts that ``part`` names, by id, "" being the archive; foreign ones are left out."""
    folder, name = posixpath.split(part)
    place = posixpath.join(folder, "_rels", f"{name}.rels")
    if place not in archive:
        return {}
    found: dict[str, Relationship] = {}
    with archive.open(place) as source:
        for element in read_elements(source, "rel:Relationship"):
            if element.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, element.get("Target", "")))
                kind = element.get("Type", "").rpartition("/")[2]
                found[element.get("Id", "")] = Relationship(kind, target.lstrip("/"))
    return found


def find_main_part(archive: Archive) -> str:
    """The part that holds the document."""
    for one in read_relationships(archive, "").values():
        if one.kind == "officeDocument" and one.target in archive:
            return one.target
    raise refused("it lacks the part that holds the document; it is damaged")


def read_title(archive: Archive) -> str:
    """The title that the document's properties have, or nothing."""
    if _TITLE_PART not in archive:
        return ""
    with archive.open(_TITLE_PART) as source:
        title = read_first(source, "dc:title")
    return (title.text or "").strip() if title is not None else ""


def to_whole(text: str | None) -> int | None:
    """The whole number that an attribute says; None for anything else, and for absurd ones."""
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return int(text) if text is not None and is_number else None


def is_on(value: str | None) -> bool:
    """Whether an attribute that says yes by being there says so."""
    return value is None or value.lower() not in _FALSE
