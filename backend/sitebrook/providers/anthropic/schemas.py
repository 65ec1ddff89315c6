"""A JSON schema in the part of the language that Anthropic's structured outputs read."""

from __future__ import annotations

from typing import Any, Final, cast

_READ_OVER: Final = frozenset({"$schema", "$id", "$comment", "examples", "deprecated"})
_KEPT: Final = frozenset(
    {"$ref", "type", "enum", "const", "default", "description", "title", "required"}
)
_DEFINITIONS: Final = ("$defs", "definitions", "properties")
_UNIONS: Final = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_FORMATS: Final = frozenset(
    {
        *("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6"),
        "uuid",
    }
)


class FreeKeys(ValueError):
    """The schema has objects whose keys it does not name, which cannot be said there."""


def to_strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with closed objects; a constraint that is not read becomes part of a description.

    That is what Anthropic's own SDKs do with a schema. Raises FreeKeys.
    """
    strict: dict[str, Any] = {}
    unread: dict[str, Any] = {}
    for name, value in schema.items():
        said = _say(name, value)
        if said is None:
            unread[name] = value
        else:
            strict |= said
    if _is_object(strict):
        strict["additionalProperties"] = False
    if unread:
        told = ", ".join(f"{name}: {value}" for name, value in unread.items())
        strict["description"] = f"{strict.get('description', '')}\n\n{{{told}}}".strip()
    return strict


def _say(name: str, value: Any) -> dict[str, Any] | None:
    """The keyword as it is read there, None when it is not."""
    if name == "additionalProperties":
        if isinstance(value, dict) and value:
            raise FreeKeys
        return {}
    if name in _READ_OVER:
        return {}
    if name in _DEFINITIONS and isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {name: {key: _to_strict(one) for key, one in named.items()}}
    if name in _UNIONS and isinstance(value, list):
        return {_UNIONS[name]: [_to_strict(one) for one in cast("list[Any]", value)]}
    if name == "items":
        return {name: _to_strict(value)}
    return {name: value} if name in _KEPT or _is_read(name, value) else None


def _to_strict(schema: Any) -> Any:
    return to_strict_schema(cast("dict[str, Any]", schema)) if isinstance(schema, dict) else schema


def _is_read(name: str, value: Any) -> bool:
    if name == "format":
        return isinstance(value, str) and value in _FORMATS
    return name == "minItems" and value in (0, 1)


def _is_object(schema: dict[str, Any]) -> bool:
    kind: Any = schema.get("type")
    return kind == "object" or "properties" in schema or (type(kind) is list and "object" in kind)
