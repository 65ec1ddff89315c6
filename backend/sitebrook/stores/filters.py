"""Conditions on the attributes of a store's files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Numeric, and_, case, cast, false, func, literal, not_, or_
from sqlalchemy.dialects.postgresql import JSONB

from sitebrook.errors import InvalidRequest
from sitebrook.stores.tables import store_file

Scalar = str | float | bool
Comparison = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
Junction = Literal["and", "or"]

_MAX_DEPTH: Final = 5
_MAX_CONDITIONS: Final = 100
_MAX_VALUES: Final = 1000
_ORDERED: Final = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True, slots=True)
class Filter:
    """A comparison of the attribute ``key``, or several ``filters`` joined.

    A file without the attribute passes ``ne`` and ``nin`` only. What has another type is unequal,
    and neither less nor greater. Texts are compared by their characters' code points.
    """

    type: Comparison | Junction
    key: str | None = None
    value: Scalar | Sequence[Scalar] | None = None
    filters: Sequence[Filter] = ()


def to_condition(wanted: Filter, param: str = "filters") -> ColumnElement[bool]:
    """The filter for a statement on ``store_file``.

    Raises InvalidRequest that names the part which cannot be meant.
    """
    if _count(wanted) > _MAX_CONDITIONS:
        raise InvalidRequest(f"A filter has at most {_MAX_CONDITIONS} conditions.", param=param)
    return _to_condition(wanted, param, 1)


def _count(wanted: Filter) -> int:
    return 1 + sum(map(_count, wanted.filters))


def _to_condition(wanted: Filter, param: str, depth: int) -> ColumnElement[bool]:
    if wanted.type not in {"and", "or"}:
        return _compare(wanted, param)
    if not wanted.filters:
        raise InvalidRequest(
            f"'{wanted.type}' joins at least one filter.", param=f"{param}.filters"
        )
    if depth == _MAX_DEPTH:
        raise InvalidRequest(f"Filters are nested at most {_MAX_DEPTH} deep.", param=param)
    inner = [
        _to_condition(one, f"{param}.filters[{at}]", depth + 1)
        for at, one in enumerate(wanted.filters)
    ]
    return and_(*inner) if wanted.type == "and" else or_(*inner)


def _compare(wanted: Filter, param: str) -> ColumnElement[bool]:
    if not wanted.key:
        raise InvalidRequest("A comparison needs the key of an attribute.", param=f"{param}.key")
    found = store_file.c.attributes[wanted.key]
    value = wanted.value
    if wanted.type in {"in", "nin"}:
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) > _MAX_VALUES:
            raise InvalidRequest(
                f"'{wanted.type}' needs a list of at most {_MAX_VALUES:,} values.",
                param=f"{param}.value",
            )
        is_in = or_(false(), *(_equals(found, one) for one in value))
        return is_in if wanted.type == "in" else not_(is_in)
    if value is None or (isinstance(value, Sequence) and not isinstance(value, str)):
        raise InvalidRequest(
            f"'{wanted.type}' needs a text, a number, or true or false.", param=f"{param}.value"
        )
    if wanted.type in _ORDERED:
        return _is_ordered(found, wanted.type, value, param)
    is_equal = _equals(found, value)
    return is_equal if wanted.type == "eq" else not_(is_equal)


def _equals(found: ColumnElement[Any], value: Scalar) -> ColumnElement[bool]:
    # Numbers are equal whatever their form: 1 and 1.0.
    return func.coalesce(found == cast(literal(json.dumps(value)), JSONB), false())


def _is_ordered(found: Any, how: str, value: Scalar, param: str) -> ColumnElement[bool]:
    if isinstance(value, bool):
        raise InvalidRequest(f"'{how}' needs a number or a text.", param=f"{param}.value")
    text = found.astext
    if isinstance(value, str):
        kind, left, right = "string", text.collate("C"), literal(value)
    else:
        kind, left, right = "number", cast(text, Numeric), cast(literal(str(value)), Numeric)
    ordered = {
        "gt": left > right,
        "gte": left >= right,
        "lt": left < right,
        "lte": left <= right,
    }
    # A case, as a statement may otherwise read what is no number as one.
    return case((func.jsonb_typeof(found) == kind, ordered[how]), else_=false())
