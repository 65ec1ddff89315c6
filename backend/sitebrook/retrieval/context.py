"""Passages with the text around them, as far as there is room for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from sitebrook.db.pipeline import Statement, to_array
from sitebrook.db.snapshot import Snapshot
from sitebrook.retrieval.passages import Passage
from sitebrook.retrieval.selection import DOCUMENT_SHARE

# Chunks before and behind a passage that may be joined to it: most sections are whole with them.
_REACH: Final = 3
# How far back a chunk may repeat the end of the one before, and what is no repetition yet.
_LONGEST_OVERLAP: Final = 1_000
_LEAST_OVERLAP: Final = 8
_AROUND: Final = (
    "SELECT DISTINCT chunk.document_id, chunk.position, chunk.headings, chunk.text FROM chunk"
    " JOIN unnest($1::text[], $2::integer[], $3::integer[])"
    " AS wanted (document_id, version, position)"
    " ON chunk.document_id = wanted.document_id AND chunk.version = wanted.version"
    " AND chunk.position BETWEEN wanted.position - $4::integer AND wanted.position + $4::integer"
)


class _Place(NamedTuple):
    document_id: str
    position: int


class _Piece(NamedTuple):
    headings: tuple[str, ...]
    text: str


async def join_neighbours(
    snapshot: Snapshot, passages: Sequence[Passage], characters: int
) -> tuple[Passage, ...]:
    """The passages, the best of them with the chunks beside them in their section.

    It is the last that is read from the snapshot.
    All texts together have at most ``characters``, unless they had more before; one document gets
    no more than its share of them by this. A document replaced meanwhile gives no neighbours.
    """
    room = characters - sum(len(one.text) for one in passages)
    if room <= 0 or not passages:
        return tuple(passages)
    values = (
        to_array(one.document_id for one in passages),
        to_array(str(one.version) for one in passages),
        to_array(str(one.position) for one in passages),
        b"%d" % _REACH,
    )
    (rows,) = await snapshot.send(Statement(_AROUND, values), ends=True).rows()
    pieces = {_Place(row[0], row[1]): _Piece(tuple(row[2]), row[3]) for row in rows}
    return tuple(_grow(passages, pieces, characters))


def _grow(
    passages: Sequence[Passage], pieces: Mapping[_Place, _Piece], characters: int
) -> list[Passage]:
    taken = {_Place(one.document_id, one.position) for one in passages}
    sizes = Counter[str]()
    for one in passages:
        sizes[one.document_id] += len(one.text)
    grown: list[Passage] = []
    for one in passages:
        room = min(
            characters - sizes.total(),
            int(characters * DOCUMENT_SHARE) - sizes[one.document_id],
        )
        joined = _join_around(one, pieces, taken, room)
        sizes[one.document_id] += len(joined.text) - len(one.text)
        grown.append(joined)
    return grown


def _join_around(
    passage: Passage, pieces: Mapping[_Place, _Piece], taken: set[_Place], room: int
) -> Passage:
    """The passage with what follows and precedes it in turn, until there is no room."""
    joined, left = passage.text, room
    ends = {1: passage.position, -1: passage.position}
    steps = [1, -1]
    while steps:
        step = steps.pop(0)
        place = _Place(passage.document_id, ends[step] + step)
        piece = pieces.get(place)
        if piece is None or place in taken or piece.headings != passage.headings:
            continue
        longer = join_texts(joined, piece.text) if step > 0 else join_texts(piece.text, joined)
        if len(longer) - len(joined) > left:
            continue
        left -= len(longer) - len(joined)
        joined, ends[step] = longer, place.position
        taken.add(place)
        steps.append(step)
    return replace(passage, text=joined, neighbours=ends[1] - ends[-1])


def join_texts(first: str, second: str) -> str:
    """Both texts; what the second repeats of the first one's end stands once."""
    end, head = first[-_LONGEST_OVERLAP:], second[:_LEAST_OVERLAP]
    at = end.find(head) if len(head) == _LEAST_OVERLAP else -1
    while at >= 0:
        if second.startswith(end[at:]):
            return first + second[len(end) - at :]
        at = end.find(head, at + 1)
    return f"{first}\n\n{second}"
