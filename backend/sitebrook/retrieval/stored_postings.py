"""The postings of a site's chunks in the database: written, loaded, joined."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, cast

import numpy as np
import psycopg
from psycopg import sql
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.connect import conflict, is_conflict, is_connection_failure, no_database
from sitebrook.db.engine import Database
from sitebrook.errors import Unavailable, WorkFailed
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.locking import keep_holder
from sitebrook.retrieval.postings import ARRAYS, MAX_CHUNKS, Numbers, Postings, to_postings
from sitebrook.retrieval.tables import holder, postings

_LOG: Final = logging.getLogger(__name__)
# So many rows of about one size are joined: each chunk's postings are written once for each level.
_FANOUT: Final = 4
# Larger rows are left to a job: whoever stores a document does not wait for them.
_SMALL_CHUNKS: Final = 1_024
# A chunk of 800 characters has 300 bytes of postings. One of many more counts as several, so that
# no join has more than 64 MB, for which a child took 420 of its 512. A word costs a join much more
# than the 12 bytes that it has in a row: counted twice, 2.5 million words of one chunk each are
# 64 MB, for which a child took 320.
_CHUNK_BYTES: Final = 1_024
# Most rows of one join, whatever has kept them from being joined: a child takes so many arrays.
_MOST_ROWS: Final = 1_000
# Removed chunks are dropped from an index when they are so many, and this share of it.
_MANY_REMOVED: Final = 256
_REMOVED_SHARE: Final = 0.2
# Of work that is not done: these do not pass.
_FAULTS: Final = frozenset({"error", "answer"})
_FIXED: Final[Mapping[str, str]] = {
    "numbers": "<u4",
    "lengths": "<u4",
    "languages": "<u1",
    "id_order": "<u2",
    "removed": "<u4",
    "keys": "<u8",
    "ends": "<u4",
    "positions": "<u2",
    "common_keys": "<u8",
    "common_chunks": "<u4",
}
_ROW: Final = sql.SQL("SELECT language_names, {} FROM postings WHERE id = %s").format(
    sql.SQL(", ").join(map(sql.Identifier, ARRAYS))
)
_COPY: Final = sql.SQL(
    "COPY postings (site_id, scope, chunks, language_names, {}) FROM STDIN (FORMAT BINARY)"
).format(sql.SQL(", ").join(map(sql.Identifier, ARRAYS)))

_SIZES: Final = (
    postings.c.id,
    postings.c.chunks,
    func.octet_length(postings.c.removed),
    func.octet_length(postings.c.positions)
    + func.octet_length(postings.c.frequencies)
    + func.octet_length(postings.c.common)
    + 2 * func.octet_length(postings.c["keys"])
    + 2 * func.octet_length(postings.c.ends)
    + 2 * func.octet_length(postings.c.common_keys),
)


class Scope(NamedTuple):
    """One index of a site; without a name that of the site's own documents."""

    site_id: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.site_id}/{self.name}"


class JoinStep(NamedTuple):
    """Rows to be written as one, of ``chunks`` chunks; see ``_join`` for ``forgets``."""

    scope: Scope
    ids: tuple[int, ...]
    chunks: int
    forgets: bool


@dataclass(slots=True)
class _Sizes:
    """The chunks of each row of an index by the row's id, and how many are said to be removed.

    ``weights`` are the chunks that count when rows are joined.
    """

    chunks: dict[int, int] = field(default_factory=dict[int, int])
    weights: dict[int, int] = field(default_factory=dict[int, int])
    removed: int = 0

    def add(self, row_id: int, chunks: int, removed_bytes: int, postings_bytes: int) -> None:
        self.chunks[row_id] = chunks
        self.weights[row_id] = max(chunks, postings_bytes // _CHUNK_BYTES)
        self.removed += removed_bytes // 4

    @property
    def has_many_removed(self) -> bool:
        """Whether the index is to be written without them; never one with a row no child takes."""
        if any(weight > MAX_CHUNKS for weight in self.weights.values()):
            return False
        enough = max(_MANY_REMOVED, _REMOVED_SHARE * sum(self.chunks.values()))
        return self.removed >= enough


async def write_postings(connection: AsyncConnection, scope: Scope, new: Postings) -> None:
    """Adds the postings to the scope's index, unless they say nothing."""
    if not len(new) and not len(new.removed):
        return
    arrays = [_to_bytes(getattr(new, name)) for name in ARRAYS]
    row = (scope.site_id, scope.name, len(new), list(new.language_names), *arrays)
    async with _open_cursor(connection) as cursor, cursor.copy(_COPY) as copy:
        # A statement would take a large row in one piece: 20 ms for 22 MB.
        copy.set_types(("text", "text", "int4", "text[]", *("bytea" for _ in arrays)))
        await copy.write_row(row)


async def write_removed(connection: AsyncConnection, scope: Scope, gone: Sequence[int]) -> None:
    """Says in the scope's index that chunks are gone; what rows say that have no chunks goes along.

    However many documents are deleted one by one, that is one row.
    """
    said = delete(postings).where(*_is(scope), postings.c.chunks == 0)
    found = (await connection.execute(said.returning(postings.c.removed))).scalars()
    before = np.frombuffer(b"".join(found), dtype=np.dtype("<u4"))
    await write_postings(connection, scope, to_postings([], [*before.tolist(), *gone]))


async def list_postings(connection: AsyncConnection, scope: Scope) -> dict[int, int]:
    """How many chunks each row of the scope's index has, by the row's id, oldest first."""
    query = select(postings.c.id, postings.c.chunks).where(*_is(scope)).order_by(postings.c.id)
    return {row.id: row.chunks for row in await connection.execute(query)}


async def load_postings(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, Postings]:
    """The rows by id, those that are there."""
    loaded: dict[int, Postings] = {}
    # In binary: as text, a large row holds up the event loop for a tenth of a second.
    async with _open_cursor(connection) as cursor:
        # One at a time: what the driver holds is freed in between.
        for one in ids:
            await cursor.execute(_ROW, (one,))
            row = await cursor.fetchone()
            if row is not None:
                loaded[one] = _from_row(row)
    return loaded


async def load_numbers(connection: AsyncConnection, scope: Scope) -> Numbers:
    """The numbers of the chunks in the scope's index that are not gone, ascending."""
    found = await _load_numbers(connection, scope, postings.c.numbers)
    return np.setdiff1d(found, await _load_numbers(connection, scope, postings.c.removed))


async def delete_postings(connection: AsyncConnection, ids: Iterable[int]) -> int:
    """How many of the rows there were; they are gone."""
    gone = delete(postings).where(postings.c.id.in_(list(ids)))
    return (await connection.execute(gone)).rowcount


async def join_due(database: Database, indexer: Indexer, scope: Scope) -> bool:
    """Whether rows were joined: small ones of about one size, when there are many of them.

    When no child does it they stay as they are: the next document finds them due again.
    """
    weights = (await _load_sizes(database, scope)).weights
    due = find_due({one: weight for one, weight in weights.items() if weight < _SMALL_CHUNKS})
    try:
        return bool(due) and await _join(database, indexer, scope, due)
    except WorkFailed as error:
        # The document behind which this runs is stored whatever becomes of it.
        level = logging.ERROR if error.cause in _FAULTS else logging.WARNING
        why = error.detail or error.message
        _LOG.log(level, "rows of the index %s were not joined (%s): %s", scope, error.cause, why)
    except Unavailable as error:
        _LOG.warning("rows of the index %s were not joined: %s", scope, error.message)
    return False


async def list_joinable(database: Database) -> dict[str, list[Scope]]:
    """The indexes with large rows to join or many removed chunks, by the site that has them."""
    columns = (holder.c.site_id, postings.c.site_id, postings.c.scope, *_SIZES)
    query = select(*columns).join(holder, holder.c.id == postings.c.site_id)
    found: dict[tuple[str, Scope], _Sizes] = {}
    async with database.begin() as connection:
        for site_id, holder_id, name, *sizes in await connection.execute(query):
            found.setdefault((site_id, Scope(holder_id, name)), _Sizes()).add(*sizes)
    joinable: dict[str, list[Scope]] = {}
    for (site_id, scope), sizes in found.items():
        if find_due(sizes.weights) or sizes.has_many_removed:
            joinable.setdefault(site_id, []).append(scope)
    return joinable


async def list_steps(database: Database, scope: Scope) -> list[JoinStep]:
    """What is due now in the scope's index, each step one row to be written, in order.

    When many chunks were removed, that is the whole index without them; else one join of large
    rows, behind which another one may be due.
    """
    sizes = await _load_sizes(database, scope)
    forgets = sizes.has_many_removed
    groups = _to_groups(sizes.weights) if forgets else [find_due(sizes.weights)]
    return [
        JoinStep(scope, tuple(group), sum(sizes.chunks[one] for one in group), forgets)
        for group in groups
        if group
    ]


async def join_step(database: Database, indexer: Indexer, step: JoinStep) -> bool:
    """Whether the step's rows were joined; not when others have joined some of them meanwhile.

    Nobody waits for it: its rows are read as they are until the transaction that puts the new one
    in their place. Raises Unavailable (WorkFailed) when no child does it.
    """
    return await _join(database, indexer, step.scope, step.ids, forgets=step.forgets)


def find_due(sizes: Mapping[int, int]) -> list[int]:
    """The rows to be joined next, of those with so many chunks each; none when it is not time."""
    levels: dict[int, int] = {}
    for size in sizes.values():
        levels[_level(size)] = levels.get(_level(size), 0) + 1
    full = [level for level, count in levels.items() if count >= _FANOUT]
    for level in sorted(full):
        due: list[int] = []
        chunks = 0
        for one in sorted(sizes, key=lambda one: (sizes[one], one))[:_MOST_ROWS]:
            if _level(sizes[one]) <= level and chunks + sizes[one] <= MAX_CHUNKS:
                due.append(one)
                chunks += sizes[one]
        if len(due) > 1:
            return due
    return []


def _to_groups(sizes: Mapping[int, int]) -> list[list[int]]:
    """The rows in order, as many together as fit into one."""
    groups: list[list[int]] = []
    chunks = 0
    for one, size in sizes.items():
        if not groups or chunks + size > MAX_CHUNKS or len(groups[-1]) == _MOST_ROWS:
            groups.append([])
            chunks = 0
        groups[-1].append(one)
        chunks += size
    return groups


def _level(chunks: int) -> int:
    return max(0, (chunks.bit_length() - 1) // (_FANOUT.bit_length() - 1))


async def _join(
    database: Database,
    indexer: Indexer,
    scope: Scope,
    ids: Sequence[int],
    *,
    forgets: bool = False,
) -> bool:
    """Whether the rows were joined; not when others have joined some of them meanwhile.

    With ``forgets``, what is removed and in no row is not kept any longer.
    """
    async with database.begin_snapshot() as connection:
        parts = await load_postings(connection, ids)
        gone = await _load_numbers(connection, scope, postings.c.removed)
        known = await _load_numbers(connection, scope, postings.c.numbers) if forgets else gone
    if len(parts) < len(ids):
        return False
    joined = await indexer.join(list(parts.values()), gone)
    if forgets:
        joined = replace(joined, removed=np.intersect1d(joined.removed, known).astype(np.uint32))
    async with database.begin() as connection:
        await keep_holder(connection, scope.site_id)
        # Whoever comes second finds nothing to lock and leaves.
        locked = select(postings.c.id).where(postings.c.id.in_(ids)).order_by(postings.c.id)
        found = (await connection.execute(locked.with_for_update(skip_locked=True))).all()
        if len(found) < len(ids):
            return False
        await delete_postings(connection, ids)
        await write_postings(connection, scope, joined)
    return True


@contextlib.asynccontextmanager
async def _open_cursor(connection: AsyncConnection) -> AsyncGenerator[psycopg.AsyncCursor[Any]]:
    """A cursor of the driver, in the connection's transaction."""
    driver = cast(
        "psycopg.AsyncConnection[Any]", (await connection.get_raw_connection()).driver_connection
    )
    try:
        async with driver.cursor(binary=True) as cursor:
            yield cursor
    except psycopg.Error as error:
        if is_connection_failure(error):
            raise no_database() from error
        if is_conflict(error):
            raise conflict() from error
        raise


async def _load_sizes(database: Database, scope: Scope) -> _Sizes:
    query = select(*_SIZES).where(*_is(scope)).order_by(postings.c.id)
    sizes = _Sizes()
    async with database.begin() as connection:
        for row in await connection.execute(query):
            sizes.add(*row)
    return sizes


async def _load_numbers(
    connection: AsyncConnection, scope: Scope, column: Any, *where: Any
) -> Numbers:
    query = select(column).where(*_is(scope), *where)
    found = (await connection.execute(query)).scalars()
    return np.frombuffer(b"".join(found), dtype=np.dtype("<u4"))


def _is(scope: Scope) -> tuple[Any, Any]:
    return postings.c.site_id == scope.site_id, postings.c.scope == scope.name


def _to_bytes(array: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def _from_row(row: Sequence[Any]) -> Postings:
    names, *found = row
    content = dict(zip(ARRAYS, found, strict=True))
    arrays = {name: np.frombuffer(content[name], dtype=kind) for name, kind in _FIXED.items()}
    chunks = len(arrays["numbers"])
    ids = content["chunk_ids"]
    arrays["chunk_ids"] = np.frombuffer(ids, dtype=f"S{len(ids) // max(1, chunks) or 1}")
    held = len(arrays["positions"])
    size = len(content["frequencies"]) // held if held else None
    common = content["common"]
    cells = chunks * len(arrays["common_keys"])
    kind = f"<u{size or (len(common) // cells if cells else 1)}"
    arrays["frequencies"] = np.frombuffer(content["frequencies"], dtype=kind)
    arrays["common"] = (
        np.frombuffer(common, dtype=kind).reshape(-1, chunks)
        if cells
        else (np.empty((0, chunks), dtype=kind))
    )
    return Postings(language_names=tuple(names), **arrays)
