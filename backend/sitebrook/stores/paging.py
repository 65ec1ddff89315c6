"""Pages of a list in the order of age, with a place in it that stays as the list changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from sqlalchemy import Column, Row, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.errors import InvalidRequest

T = TypeVar("T")

Order = Literal["asc", "desc"]
_MAX_CURSOR_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class Window:
    """What of a list is wanted: up to ``limit`` entries behind ``after`` or before ``before``.

    With ``before`` alone those next to it. Entries of the same moment stand in the order of ids.
    """

    limit: int
    order: Order = "desc"
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries of a list in its order; ``has_more`` says whether there are more that way."""

    entries: tuple[T, ...]
    has_more: bool


class Age(NamedTuple):
    """The columns that order a list: the moment, and the id among those of one moment."""

    created_at: Column[datetime]
    id: Column[str]


async def load_page(
    connection: AsyncConnection, query: Select[Any], age: Age, window: Window
) -> Page[Row[Any]]:
    """The window's rows of ``query``. Raises InvalidRequest for a place that is not in it."""
    row = tuple_(*age)
    is_ascending = window.order == "asc"
    if window.after is not None:
        place = await _find_place(connection, query, age, window.after, "after")
        query = query.where(row > place if is_ascending else row < place)
    if window.before is not None:
        place = await _find_place(connection, query, age, window.before, "before")
        query = query.where(row < place if is_ascending else row > place)
    # The entries next to ``before`` are the last of those in front of it.
    is_backward = window.before is not None and window.after is None
    if is_ascending != is_backward:
        query = query.order_by(age.created_at, age.id)
    else:
        query = query.order_by(age.created_at.desc(), age.id.desc())
    found = list((await connection.execute(query.limit(window.limit + 1))).all())
    rows = found[: window.limit]
    return Page(tuple(reversed(rows) if is_backward else rows), len(found) > window.limit)


async def _find_place(
    connection: AsyncConnection, query: Select[Any], age: Age, id_: str, param: str
) -> Any:
    place = None
    if len(id_) <= _MAX_CURSOR_CHARACTERS and "\0" not in id_ and id_.isascii():
        wanted = query.where(age.id == id_).with_only_columns(age.created_at)
        place = (await connection.execute(wanted)).scalar_one_or_none()
    if place is None:
        raise InvalidRequest("The list has no entry with this id.", param=param)
    return tuple_(literal(place), literal(id_))
