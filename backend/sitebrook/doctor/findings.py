"""What a check finds."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

CHECK_S: Final = 10.0
"""How long one check may take."""


class Level(enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    """It works, though less well than it could."""
    FAIL = "fail"
    """Answers, or something that was asked for in the settings, do not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``advice`` says what to do about it, where something is to be done."""

    check: str
    level: Level
    says: str
    advice: str | None = None


def ok(check: str, says: str) -> Finding:
    """Nothing is to be done."""
    return Finding(check, Level.OK, says)


def warn(check: str, says: str, advice: str) -> Finding:
    """Something could be better."""
    return Finding(check, Level.WARN, says, advice)


def fail(check: str, says: str, advice: str) -> Finding:
    """Something does not work."""
    return Finding(check, Level.FAIL, says, advice)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of all of them together."""
    levels = {finding.level for finding in findings}
    return next((one for one in (Level.FAIL, Level.WARN) if one in levels), Level.OK)


async def within_bounds(
    check: str, work: Awaitable[Sequence[Finding]], timeout_s: float = CHECK_S
) -> Sequence[Finding]:
    """What the check finds, or that it took too long."""
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        says = f"The check had no result within {timeout_s:g} s."
        return [fail(check, says, "See whether the machine is overloaded, then try again.")]
