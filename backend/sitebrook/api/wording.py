"""What a decoder says of a value that it refuses, in words for who sent it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

_STEP: Final = re.compile(r"\[\d*\]|[^.\[\]]+")
_INVALID: Final = re.compile(r"Invalid (?:enum )?value .*", re.DOTALL)
_LENGTH: Final = re.compile(r"Expected `(array|str|object)` of length (>=|<=) (\d+)")
_NUMBER: Final = re.compile(r"Expected `(?:int|float)` (>=|<=) (\S+)")
_TYPE: Final = re.compile(r"Expected `([a-z| ]+)`, got `([a-z]+)`")
_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_BOUND: Final = {">=": "at least", "<=": "at most"}
_UNITS: Final = {
    "array": ("entry", "entries"),
    "object": ("entry", "entries"),
    "str": ("character", "characters"),
}


def to_message(text: str, param: str | None, body_type: Any) -> str:
    """The decoder's text on a field as a sentence; of choices it names those ``body_type`` has."""
    if param and (found := _LENGTH.fullmatch(text)):
        one, many = _UNITS[found[1]]
        unit = one if found[3] == "1" else many
        return f"{param} must have {_BOUND[found[2]]} {found[3]} {unit}."
    if param and (found := _NUMBER.fullmatch(text)):
        return f"{param} must be {_BOUND[found[1]]} {found[2].removesuffix('.0')}."
    if found := _TYPE.fullmatch(text):
        wanted = [_KINDS.get(kind, kind) for kind in found[1].split(" | ")]
        got = _KINDS.get(found[2], found[2])
        return f"{param or 'The body'} must be {' or '.join(wanted)}, not {got}."
    if param and body_type is not None and _INVALID.fullmatch(text):
        choices = find_choices(body_type, param)
        if choices:
            return f"{text}; {param} can be {', '.join(choices)}."
    return f"{text}."


def find_choices(body_type: Any, param: str) -> list[str]:
    """The values that a field can have where its type lists them, sorted; else none.

    ``param`` is like ``messages[0].role``.
    """
    schema = msgspec.json.schema(body_type)
    kinds = schema.get("$defs", {})
    nodes = list(_alternatives(schema, kinds))
    for step in _STEP.findall(param):
        inner = [one for node in nodes if (one := _below(node, step)) is not None]
        nodes = [found for one in inner for found in _alternatives(one, kinds)]
    return sorted({str(value) for node in nodes for value in node.get("enum", ())})


def _alternatives(node: dict[str, Any], kinds: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in node:
        yield from _alternatives(kinds[node["$ref"].rpartition("/")[2]], kinds)
    elif "anyOf" in node:
        for one in node["anyOf"]:
            yield from _alternatives(one, kinds)
    else:
        yield node


def _below(node: dict[str, Any], step: str) -> dict[str, Any] | None:
    if step.startswith("["):
        found = node.get("items", node.get("additionalProperties"))
    else:
        found = node.get("properties", {}).get(step)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
