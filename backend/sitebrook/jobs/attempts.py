"""Attempts of jobs in the table: started, kept alive, ended, lost.

Each write names the attempt that it belongs to; what was given to another attempt stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sitebrook.jobs import statements
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.context import Unsaved
from sitebrook.jobs.job import Status
from sitebrook.jobs.lanes import admit, admit_left_over
from sitebrook.jobs.queue import Ticket

# A job whose workers die under it is not started for ever; what it settles makes it count from 0.
MOST_LOSSES: Final = 10
LOST: Final = (
    "worker_lost",
    "The process that ran the job ended or did not answer any more; see its log.",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that this worker was given."""

    ticket: Ticket
    site_id: str | None
    kind: str
    arguments: str
    failures: int = 0
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended: what the job is then, and what is kept.

    ``queued`` and ``waiting`` are followed by another attempt, the second after ``pause_s``.
    """

    status: Status
    result: bytes | None = None
    error_code: str | None = None
    error_message: str | None = None
    failures: int = 0
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """An attempt that its worker may go on with."""

    job_id: str
    attempt: int
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What a job is behind an attempt."""

    status: Status
    error: dict[str, str | None] | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A job whose worker is gone: its status now."""

    status: Status
    site_id: str | None


class Attempts:
    """The table as workers write it. Everything raises Unavailable."""

    def __init__(self, connections: Connections, *, lanes: int) -> None:
        self._connections = connections
        self._lanes = lanes

    async def start(self, ticket: Ticket) -> Attempt | None:
        """The attempt of a ticket; None when the job needs it no more, and the ticket is gone."""
        parameters = _of(ticket)
        found = await self._connections.run(statements.CLAIM, parameters)
        if not found:
            await self.leave(ticket)
            return None
        [row] = found
        return Attempt(
            ticket,
            row["site_id"],
            row["kind"],
            row["arguments"],
            row["failures"],
            row["waited_s"],
        )

    async def end(self, attempt: Attempt, ending: Ending, progress: bytes | None) -> Ended | None:
        """How the attempt ended, which a cancellation decides too; None when it was lost before."""
        parameters = to_parameters(attempt, ending, progress)
        found = await self._connections.run(statements.END, parameters)
        if not found:
            # By the watchdog, or by this very statement, whose answer did not arrive.
            found = await self._connections.run(statements.HOW_ENDED, parameters)
        if not found:
            return None
        [row] = found
        if row["has_next"]:
            await self._admit(row["site_id"])
        return Ended(Status(row["status"]), to_error(row["error_code"], row["error_message"]))

    async def leave(self, ticket: Ticket) -> None:
        """Removes the row of the queue of an attempt that has lost its job."""
        await self._connections.run(statements.LEAVE_QUEUE, _of(ticket))

    async def lose(self, ticket: Ticket) -> Lost | None:
        """What becomes of a job whose worker is gone; None when its attempt is over already."""
        code, message = LOST
        error = {"error_code": code, "error_message": message}
        parameters = {**_of(ticket), **error, "most_losses": MOST_LOSSES}
        found = await self._connections.run(statements.LOSE, parameters)
        if not found:
            return None
        [row] = found
        await self._admit(row["site_id"])
        return Lost(Status(row["status"]), row["site_id"])

    async def keep(self, running: Sequence[tuple[Ticket, Unsaved]]) -> list[Kept]:
        """Those of the running attempts that are still this worker's; what is new is stored."""
        rows = [
            {
                "id": ticket.job_id,
                "attempt": ticket.attempt,
                "progress": None if new.progress is None else msgspec.Raw(new.progress),
                "has_settled": new.has_settled,
            }
            for ticket, new in running
        ]
        found = await self._connections.run(
            statements.KEEP, {"running": msgspec.json.encode(rows).decode()}
        )
        return [Kept(row["id"], row["attempt"], row["is_cancelled"]) for row in found]

    async def _admit(self, site_id: str | None) -> None:
        if site_id is None:
            await admit_left_over(self._connections, self._lanes)
            return
        async with self._connections.begin() as connection:
            await admit(connection, site_id, self._lanes)


def to_error(code: str | None, message: str | None) -> dict[str, str | None] | None:
    """What those who watch a job are told of its failure."""
    return None if code is None else {"code": code, "message": message}


def to_parameters(attempt: Attempt, ending: Ending, progress: bytes | None) -> dict[str, Any]:
    """The parameters of the statement that ends an attempt."""
    return {
        **_of(attempt.ticket),
        "status": ending.status,
        "result": _text(ending.result),
        "progress": _text(progress),
        "error_code": ending.error_code,
        "error_message": ending.error_message,
        "failures": ending.failures,
        "pause_s": ending.pause_s,
    }


def _of(ticket: Ticket) -> dict[str, Any]:
    return {"id": ticket.job_id, "attempt": ticket.attempt, "engine_id": ticket.engine_id}


def _text(json: bytes | None) -> str | None:
    return None if json is None else json.decode()
