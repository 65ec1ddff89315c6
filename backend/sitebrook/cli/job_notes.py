"""What a person wants to know of a job at a glance."""

from __future__ import annotations

from typing import Any, Final, cast

from sitebrook.jobs.job import ENDED, Job, Status

# Of what a job counts, what went wrong.
_MISHAPS: Final = ("refused", "failed")


def to_progress(job: Job) -> str:
    """How far it is, like ``246/500``; nothing of a job that does not tell."""
    told = _to_facts(job.progress)
    return f"{told['done']}/{told['total']}" if {"done", "total"} <= told.keys() else ""


def to_note(job: Job) -> str:
    """What is special about it: why it failed, or what it could not do; mostly nothing."""
    if job.cancel_requested_at is not None and job.status not in ENDED:
        return "told to end"
    if job.error_message and job.status is not Status.SUCCEEDED:
        return job.error_message
    told = _to_facts(job.result if job.status is Status.SUCCEEDED else job.progress)
    notes = [f"{told[name]} {name}" for name in _MISHAPS if told.get(name)]
    if told.get("stopped"):
        notes.append(str(told["stopped"]))
    return ", ".join(notes)


def to_outcome(job: Job) -> str:
    """What a job that has succeeded counted, like ``2 added, 1 refused``; nothing if nothing.

    And why it ended before its end, where it did.
    """
    told = _to_facts(job.result)
    counts = [f"{count} {name}" for name, count in told.items() if isinstance(count, int) and count]
    stopped = [str(told["stopped"])] if told.get("stopped") else []
    return "; ".join([", ".join(counts), *stopped] if counts else stopped)


def to_refusals(job: Job) -> list[tuple[str, str]]:
    """The files that it refused, with the reason, as far as it keeps them."""
    return [(source, reason) for source, reason in _to_facts(job.result).get("reasons", ())]


def _to_facts(told: object) -> dict[str, Any]:
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}
