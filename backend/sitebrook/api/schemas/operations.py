"""The wire of health and figures."""

from __future__ import annotations

import msgspec

from sitebrook.telemetry.latency import LatencySummary


class HealthResponse(msgspec.Struct, frozen=True):
    """``ok`` when it can."""

    status: str


class LatencyResponse(msgspec.Struct, frozen=True):
    """Figures of this process since it started, over the last ``window`` requests of each kind."""

    enabled: bool
    window: int
    summaries: list[LatencySummary]
