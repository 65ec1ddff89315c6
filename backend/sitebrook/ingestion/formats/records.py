"""JSON and JSON Lines as text that a reader can follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from sitebrook.ingestion.decoding import refused
from sitebrook.ingestion.sections import Outline

# Names under which a record says what it is about; the first that is there is its heading.
_NAMES: Final = ("title", "name", "question", "heading", "headline", "subject", "label")
_MAX_HEADING_CHARACTERS: Final = 200
_SECTION_LEVEL: Final = 2
_MAX_LEVEL: Final = 4  # deeper objects are written in one line each
_SHORT_CHARACTERS: Final = 200  # longer texts are paragraphs of their own


def read_json(text: str, outline: Outline) -> None:
    """Adds the value: objects as lines "name: value", records of a list as sections."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise refused(f"it is not valid JSON ({error})") from None
    except RecursionError:
        raise refused("its JSON is nested too deeply") from None
    if isinstance(value, dict):
        outline.title = outline.title or _name(cast("Mapping[str, Any]", value))
    _add(value, _SECTION_LEVEL, outline)
    outline.close()


def read_json_lines(text: str, outline: Outline) -> None:
    """Adds a section for each line; the first line that is not JSON refuses the document."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise refused(f"line {number:,} is not valid JSON ({error})") from None
        except RecursionError:
            raise refused(f"the JSON of line {number:,} is nested too deeply") from None
        _add_record(value, _SECTION_LEVEL, outline)
    outline.close()


def _add(value: Any, level: int, outline: Outline) -> None:
    if isinstance(value, Mapping):
        _add_object(cast("Mapping[str, Any]", value), level, outline)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if any(isinstance(item, Mapping) for item in items):
            for item in items:
                _add_record(item, level, outline)
        else:
            outline.add("\n".join(f"- {_line(item)}" for item in items))
    else:
        outline.add(_line(value))


def _add_record(value: Any, level: int, outline: Outline) -> None:
    named = _name(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else ""
    outline.open(level, named)
    if isinstance(value, Mapping):
        record = cast("Mapping[str, Any]", value)
        said = {key: item for key, item in record.items() if not named or item != named}
        _add_object(said or record, level + 1, outline)
    else:
        _add(value, level + 1, outline)


def _add_object(value: Mapping[str, Any], level: int, outline: Outline) -> None:
    """Short values as lines of one block, long texts as paragraphs, then what is inside."""
    lines: list[str] = []
    for key, item in value.items():
        if isinstance(item, str) and (len(item) > _SHORT_CHARACTERS or "\n" in item):
            outline.add("\n".join(lines))
            outline.add(f"{key}:\n{item}")
            lines.clear()
        elif not _is_deep(item) or level > _MAX_LEVEL:
            lines.append(f"{key}: {_line(item)}")
    outline.add("\n".join(line for line in lines if not line.endswith(": ")))
    for key, item in value.items():
        if _is_deep(item) and level <= _MAX_LEVEL:
            outline.open(level, key[:_MAX_HEADING_CHARACTERS])
            _add(item, level + 1, outline)


def _is_deep(value: Any) -> bool:
    """Whether the value is an object, or a list with some."""
    if isinstance(value, Mapping):
        return True
    items = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    return any(isinstance(item, Mapping | list) for item in items)


def _name(record: Mapping[str, Any]) -> str:
    by_name = {key.lower(): value for key, value in record.items()}
    found = (by_name.get(name) for name in _NAMES)
    texts = (one for one in found if isinstance(one, str) and one.strip())
    text = next(texts, "")
    return text if len(text) <= _MAX_HEADING_CHARACTERS and "\n" not in text else ""


def _line(value: Any) -> str:
    """The value in one line; what is deep is listed without its form."""
    return ", ".join(_scalars(value))


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield f"{key}: {_line(item)}"
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _scalars(item)
    elif value is True or value is False:
        yield "true" if value else "false"
    elif value is not None:
        yield " ".join(str(value).split())
