"""What makes an answer one that can be resumed: how that is asked for, and how frames show it."""

from __future__ import annotations

from typing import Final

from litestar.types import Scope

from sitebrook.access.gate import Caller
from sitebrook.chat.answer_log import AnswerHead
from sitebrook.errors import Cancelled, NotFound, RedisAway, Unavailable

CHUNKS: Final = "chunks"
SIMPLE: Final = "simple"
_ASKS: Final = (b"x-sitebrook-resume", b"1")
_BETWEEN: Final = b"\n\ndata: "


def resumed_head(
    scope: Scope, caller: Caller, form: str, *, includes_usage: bool = False
) -> AnswerHead | None:
    """What others need to read the caller's answer; None when it asked for none of this."""
    if _ASKS not in scope["headers"]:
        return None
    return AnswerHead(form, includes_usage, caller.visitor_id)


def to_numbered(frames: bytes, position: str) -> bytes:
    """The frames of one event, the last of them with its position as the id, if it has one."""
    if not frames or not position:
        return frames
    before, between, last = frames.rpartition(_BETWEEN)
    if not between:
        return b"id: %b\n%b" % (position.encode(), frames)
    return b"%b\n\nid: %b\ndata: %b" % (before, position.encode(), last)


def answer_cancelled() -> Cancelled:
    """How an answer ends that its caller stopped."""
    return Cancelled("The answer was stopped.", code="answer_cancelled")


def answer_lost() -> Unavailable:
    """How an answer ends for its readers when nobody writes it to its end."""
    return Unavailable(
        "The rest of this answer is not to be had: the server that gave it is gone. Ask again.",
        code="answer_lost",
    )


def answer_elsewhere(away: RedisAway) -> RedisAway:
    """The error when an answer may be another server's, and Redis does not tell."""
    return RedisAway(
        "If this answer goes on, it does so at another server, and Redis, which would tell of it, "
        "is away; try again in a few seconds.",
        reason=away.reason,
    )


def answer_unreadable() -> Unavailable:
    """The error when the log does not tell an answer in time."""
    return Unavailable("The answer cannot be read now; try again in a few seconds.")


def answer_unknown() -> NotFound:
    """The error for an answer that is not there for this caller, or no longer."""
    return NotFound(
        "There is no such answer: it was not asked for with `X-Sitebrook-Resume: 1`, or "
        "it has ended too long ago.",
        code="answer_not_found",
    )
