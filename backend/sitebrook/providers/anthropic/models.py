"""What a Claude model takes, by its name; the API refuses the rest with 400.

Sources: the migration guides and model pages of platform.claude.com, as of November 2026. A name
that says nothing, such as a gateway's own, is taken to allow everything: its upstream decides.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

Thinking = Literal["unasked", "default", "always"]

_NAME: Final = re.compile(
    r"claude-(?:(?P<old>\d)(?:[-.](?P<old_minor>\d))?-)?(?P<family>opus|sonnet|haiku|fable|mythos)"
    r"(?:-(?P<major>\d)(?!\d))?(?:[-.](?P<minor>\d{1,2})(?!\d))?"
)
_NEVER: Final = (99, 0)


class ClaudeModel(msgspec.Struct, frozen=True, kw_only=True):
    """What one model takes.

    ``thinking`` tells when it thinks if the request does not say: only when asked, unless it is
    turned off, or always. ``efforts`` are the levels that it knows.
    """

    samples: bool = True
    samples_by_both: bool = True
    forces_tools: bool = True
    has_schemas: bool = True
    thinking: Thinking = "unasked"
    efforts: frozenset[str] = frozenset({"low", "medium", "high", "xhigh", "max"})


class _Since(msgspec.Struct, frozen=True, kw_only=True):
    """The first version of a family that has, or no longer has, a thing."""

    schemas: tuple[int, int] = (4, 5)
    one_sampler: tuple[int, int] = (4, 1)
    no_sampling: tuple[int, int]
    effort: tuple[int, int]
    max_effort: tuple[int, int] = (4, 6)
    xhigh_effort: tuple[int, int]
    thinks: tuple[int, int]
    always_thinks: tuple[int, int]


_FAMILIES: Final = {
    "opus": _Since(
        no_sampling=(4, 7),
        effort=(4, 5),
        xhigh_effort=(4, 7),
        thinks=(5, 0),
        always_thinks=(5, 5),
    ),
    "sonnet": _Since(
        no_sampling=(5, 0),
        effort=(4, 6),
        xhigh_effort=(5, 0),
        thinks=(5, 0),
        always_thinks=(5, 5),
    ),
    "haiku": _Since(
        no_sampling=(5, 5),
        effort=(5, 5),
        xhigh_effort=(5, 5),
        thinks=(5, 5),
        always_thinks=_NEVER,
    ),
}
_ALWAYS_THINKING: Final = ClaudeModel(samples=False, forces_tools=False, thinking="always")


def model_of(name: str) -> ClaudeModel:
    """What the model of this name takes."""
    found = _NAME.search(name)
    if found is None:
        return ClaudeModel()
    since = _FAMILIES.get(found["family"])
    if since is None:  # Fable and Mythos, in every version
        return _ALWAYS_THINKING
    major, minor = found["major"] or found["old"], found["minor"] or found["old_minor"]
    if major is None:
        return ClaudeModel()
    version = (int(major), int(minor or 0))
    return ClaudeModel(
        samples=version < since.no_sampling,
        samples_by_both=version < since.one_sampler,
        forces_tools=version < since.always_thinks,
        has_schemas=version >= since.schemas,
        thinking=_thinking(version, since),
        efforts=_efforts(version, since),
    )


def _thinking(version: tuple[int, int], since: _Since) -> Thinking:
    if version >= since.always_thinks:
        return "always"
    return "default" if version >= since.thinks else "unasked"


def _efforts(version: tuple[int, int], since: _Since) -> frozenset[str]:
    levels: set[str] = set()
    if version >= since.effort:
        levels |= {"low", "medium", "high"}
        levels |= {"max"} if version >= since.max_effort else set()
        levels |= {"xhigh"} if version >= since.xhigh_effort else set()
    return frozenset(levels)
