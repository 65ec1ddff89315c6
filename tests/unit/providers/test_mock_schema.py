from __future__ import annotations

from typing import Any

import pytest

from sitebrook.errors import InvalidRequest
from sitebrook.providers.mock.schema import minimal_instance

TWICE = [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": 5},
        {"anyOf": 3},
        {"allOf": [3]},
        {"type": "integer", "minimum": 1, "multipleOf": 0},
        {"type": "number", "minimum": "one"},
        {"type": "array", "minItems": "many"},
        {"type": "string", "minLength": None},
        {"type": "object", "required": [["a"]]},
        {"properties": 3, "required": ["a"]},
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="cannot read"):
        minimal_instance(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**12},
        {"type": "string", "minLength": 10**12},
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": TWICE}}},
        {
            "$ref": "#/$defs/a",
            "$defs": {
                "a": {"properties": dict(zip("ab", TWICE, strict=True)), "required": ["a", "b"]}
            },
        },
    ],
)
def test_a_schema_that_grows_without_bound_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="more than"):
        minimal_instance(schema)
