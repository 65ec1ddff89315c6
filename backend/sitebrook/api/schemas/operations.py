"""The wire of health and figures."""

from __future__ import annotations

from typing import Literal

import msgspec

from sitebrook.providers.observer import BreakerState
from sitebrook.telemetry.latency import LatencySummary


class HealthResponse(msgspec.Struct, frozen=True):
    """``ok`` when it can."""

    status: str


class ProviderHealth(msgspec.Struct, frozen=True):
    """Whether a provider is asked: ``closed`` yes, ``open`` no, ``half_open`` as a trial.

    ``rests_s`` is how long it is not asked, or only where no other is left.
    """

    name: str
    state: BreakerState
    rests_s: float


class ReadyResponse(msgspec.Struct, frozen=True):
    """``ok``, or ``degraded`` when a part of it is; as this process sees them.

    ``redis`` is ``off`` where none is configured. ``events`` says whether all processes can read
    the streams that this one writes, ``jobs`` whether somebody runs those that there are.
    """

    status: Literal["ok", "degraded"]
    redis: Literal["ok", "degraded", "off"]
    events: Literal["ok", "degraded"]
    jobs: Literal["ok", "degraded"]
    providers: list[ProviderHealth]


class LatencyResponse(msgspec.Struct, frozen=True):
    """Figures of this process since it started, over the last ``window`` requests of each kind."""

    enabled: bool
    window: int
    summaries: list[LatencySummary]
