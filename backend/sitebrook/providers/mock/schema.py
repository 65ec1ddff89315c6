"""The smallest value that fits a JSON schema."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, cast

from sitebrook.errors import InvalidRequest

Schema = dict[str, Any]

_MAX_DEPTH: Final = 32
# Values, characters of text and parts of schemas: two branches at each depth would be 2 ** 32.
_MAX_PARTS: Final = 10_000
_TEXT: Final = "mock"
_FORMATS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "mock@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class _Root:
    """The whole schema, and how much may still be made of it."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._left = _MAX_PARTS

    def take(self, parts: int = 1) -> None:
        self._left -= parts
        if self._left < 0:
            raise InvalidRequest(f"The schema asks for more than {_MAX_PARTS:,} values.")


def minimal_instance(schema: Schema) -> Any:
    """The same small instance for the same schema.

    Reads ``type``, ``const``, ``enum``, ``default``, ``properties``, ``required``, the sizes and
    bounds, ``format``, local ``$ref``, ``anyOf``, ``oneOf`` and ``allOf``; not ``pattern``. What
    refers to itself without end becomes None at depth 32. Raises InvalidRequest for what is no
    schema, or one of more than 10,000 values.
    """
    try:
        return _instance(schema, _Root(schema), 0)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise InvalidRequest("The mock model cannot read this JSON schema.") from None


def _instance(schema: Any, root: _Root, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    root.take()
    schema = _resolved(cast("Schema", schema), root, depth)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            rest = {name: value for name, value in schema.items() if name != key}
            return _instance({**rest, **_simplest(schema[key], root, depth)}, root, depth + 1)
    return _MAKERS.get(_type_of(schema), _null)(schema, root, depth)


def _resolved(schema: Schema, root: _Root, depth: int) -> Schema:
    """The schema with its local reference followed and its ``allOf`` merged."""
    if depth > _MAX_DEPTH:
        return {}
    root.take()
    for _ in range(_MAX_DEPTH):
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        target: Any = root.schema
        for step in reference[1:].strip("/").split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if step:
                target = cast("Schema", target).get(key) if isinstance(target, dict) else None
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**cast("Schema", target), **rest} if isinstance(target, dict) else rest
    parts = cast("list[Schema]", schema.get("allOf") or [])
    merged = {name: value for name, value in schema.items() if name != "allOf"}
    for part in parts:
        merged = _merged(merged, _resolved(part, root, depth + 1))
    return merged


def _merged(one: Schema, other: Schema) -> Schema:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *other["required"]]
    return merged


def _simplest(choices: list[Any], root: _Root, depth: int) -> Schema:
    """The first choice that is not a reference, which may lead back here, else the first."""
    schemas = [cast("Schema", one) for one in choices if isinstance(one, dict)]
    plain = (one for one in schemas if "$ref" not in one and one.get("type") != "null")
    null = (one for one in schemas if one.get("type") == "null")
    return _resolved(next(plain, next(null, schemas[0] if schemas else {})), root, depth + 1)


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = cast("list[str]", kind)
        return next((one for one in kinds if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "string"


def _object(schema: Schema, root: _Root, depth: int) -> Any:
    properties = cast("Schema", schema.get("properties") or {})
    names = dict.fromkeys(cast("list[str]", schema.get("required") or []))
    return {name: _instance(properties.get(name, {}), root, depth + 1) for name in names}


def _array(schema: Schema, root: _Root, depth: int) -> Any:
    before = cast("list[Any]", schema.get("prefixItems") or [])
    count = max(int(schema.get("minItems", 0)), len(before))
    root.take(count)
    of = schema.get("items", {})
    kinds = [*before, *[of] * (count - len(before))]
    return [_instance(kind, root, depth + 1) for kind in kinds]


def _string(schema: Schema, root: _Root, depth: int) -> Any:
    del depth
    form = schema.get("format")
    if form in _FORMATS:
        return _FORMATS[form]
    length = max(0, int(schema.get("minLength", 0)))
    root.take(length)
    text = _TEXT.ljust(length, "-")
    return text[: int(schema.get("maxLength", len(text)))]


def _integer(schema: Schema, root: _Root, depth: int) -> Any:
    return int(_number({"multipleOf": 1, **schema}, root, depth))


def _number(schema: Schema, root: _Root, depth: int) -> Any:
    """0 where it is allowed, else the allowed number that is nearest to a bound."""
    del root, depth
    low, above = schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)
    high, below = schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)
    if max(low, above) <= 0 <= min(high, below) and above < 0 < below:
        return 0
    step = schema.get("multipleOf")
    if max(low, above) >= 0:
        return _above(low, above, min(high, below), step)
    return -_above(-high, -below, -max(low, above), step)


def _above(low: float, above: float, end: float, step: float | None) -> float:
    """The smallest multiple of ``step`` that is at least ``low`` and over ``above``."""
    if step is not None:
        value = math.ceil(max(low, above) / step) * step
        return value + step if value <= above else value
    if low > above:
        return low
    return (above + end) / 2 if end < math.inf else above + 1


def _boolean(schema: Schema, root: _Root, depth: int) -> Any:
    del schema, root, depth
    return False


def _null(schema: Schema, root: _Root, depth: int) -> Any:
    del schema, root, depth


_MAKERS: Final[dict[str, Callable[[Schema, _Root, int], Any]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}
