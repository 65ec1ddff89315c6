"""The wire of usage and costs."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec


class UsageSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over answers.

    ``cost`` is money by the server's price table, null when no answer's cost is known;
    ``without_cost`` counts the answers that it leaves out, ``without_tokens`` those whose tokens
    nobody counted. ``estimated`` counts the answers whose tokens are estimates.
    """

    answers: int
    interrupted: int
    estimated: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    without_tokens: int
    cost: float | None
    without_cost: int


class UsageRowResponse(UsageSums, frozen=True, kw_only=True):
    """The sums of one site, model and provider; with ``by=day`` also of one day in UTC."""

    site: str
    site_name: str
    model: str
    provider: str
    day: date | None = None


class UsageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Usage from ``since`` on and before ``until``, and its totals."""

    since: datetime
    until: datetime
    totals: UsageSums
    data: list[UsageRowResponse]
    object: Literal["usage"] = "usage"
