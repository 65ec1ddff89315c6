"""The loads of the streaming bench: each returns one target's figures for one round.

Times to the first delta (``first_…``) are in ms, delays of a delta (``delay_…``) in us.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from tests.bench.client import (
    Crowd,
    Failed,
    Stream,
    ask_plain,
    open_streams,
    read_crowd,
    read_one,
)
from tests.bench.processes import Cores, Meter, Used, rss_bytes, tree
from tests.bench.targets import Target

Figures = dict[str, float]
_ENDLESS = 1_000_000_000
_SETTLE_S = 1.0
_REST_S = 0.005
_WARMING = 50


class NotFinished(Exception):
    """The limit of a scenario came before its end; the message says how far it was."""

    def __init__(self, message: str, figures: Figures | None = None) -> None:
        super().__init__(message)
        self.figures = figures or {}


@dataclass(frozen=True, slots=True)
class Burst:
    """Streams that start within a time, each paced."""

    streams: int
    within_s: float
    deltas: int
    pace_ms: int

    @property
    def model(self) -> str:
        return f"bench-{self.deltas}-{self.pace_ms}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of all scenarios."""

    rounds: int
    limit_s: float
    singles: int
    paced: Burst
    early: Burst
    late: Burst
    saturating: int
    window_s: float
    asking: int
    plain_words: int
    idle: int
    idle_ramp_s: float
    settle_s: float  # how long a measurement may wait for the machine to be idle
    idle_pace_ms: int = 10_000

    @property
    def models(self) -> list[str]:
        """The models that the upstream is asked for."""
        return [
            *dict.fromkeys(
                [
                    "bench-3-0",
                    self.paced.model,
                    self.early.model,
                    self.late.model,
                    f"bench-{_ENDLESS}-0",
                    f"bench-{_ENDLESS}-{self.idle_pace_ms}",
                    f"bench-{self.plain_words}-0",
                ]
            )
        ]


FULL_PLAN = Plan(
    rounds=3,
    limit_s=25,
    singles=200,
    paced=Burst(50, 0, 125, 20),
    early=Burst(500, 0.5, 30, 100),
    late=Burst(2000, 1, 30, 200),
    saturating=50,
    window_s=2.5,
    asking=50,
    plain_words=20,
    idle=5000,
    idle_ramp_s=5,
    settle_s=10,
)
QUICK_PLAN = Plan(
    rounds=1,
    limit_s=10,
    singles=60,
    paced=Burst(50, 0, 75, 20),
    early=Burst(500, 0.5, 15, 100),
    late=Burst(2000, 1, 15, 200),
    saturating=50,
    window_s=1,
    asking=50,
    plain_words=20,
    idle=1000,
    idle_ramp_s=1,
    settle_s=5,
)
TINY_PLAN = Plan(
    rounds=1,
    limit_s=5,
    singles=2,
    paced=Burst(2, 0, 5, 5),
    early=Burst(4, 0.05, 3, 5),
    late=Burst(6, 0.05, 3, 5),
    saturating=2,
    window_s=0.1,
    asking=2,
    plain_words=3,
    idle=5,
    idle_ramp_s=0.05,
    settle_s=0,
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What every scenario needs: the sizes, the cores, and who shares the load's cores."""

    plan: Plan
    cores: Cores
    load: list[int]

    def meter(self, target: Target) -> Meter:
        return Meter(target.pid, self.load)

    def busy(self, used: Used) -> Figures:
        """How full the cores of each side were, 1 is full, and what others took of all."""
        return {
            "server_busy": used.server_s / used.wall_s / len(self.cores.server),
            "load_busy": used.load_s / used.wall_s / len(self.cores.load),
            "others_busy": used.others_s / used.wall_s / len(self.cores.server | self.cores.load),
        }


async def warm(target: Target, ground: Ground) -> None:
    """Imports, caches and connections are not what is measured."""
    for _ in range(_WARMING):
        await read_one(target.to_request("bench-3-0"), limit_s=ground.plan.limit_s)
    plain = target.to_request(f"bench-{ground.plan.plain_words}-0", stream=False)
    await ask_plain(plain, 2, seconds=0.1, limit_s=ground.plan.limit_s)


async def first_byte(targets: Sequence[Target], ground: Ground) -> dict[str, Figures]:
    """Lone streams of three deltas, one of each target in turn, with a rest before each.

    Each finds the processor's caches as another left them, as a lone visitor does; a server that
    is asked without a pause is measured with warm ones, and a fast one the more. The order changes
    from turn to turn, by chance but alike in every run: what a server does behind a stream's end
    falls to the next one.
    """
    requests = [target.to_request("bench-3-0") for target in targets]
    meters = [ground.meter(target) for target in targets]
    times: list[list[float]] = [[] for _ in targets]
    chance = random.Random(0)
    for _ in range(ground.plan.singles):
        for at in chance.sample(range(len(targets)), len(targets)):
            await asyncio.sleep(_REST_S)
            try:
                one = await read_one(requests[at], limit_s=ground.plan.limit_s)
            except Failed as failure:
                raise Failed(f"{targets[at].name}: {failure}") from None
            times[at].append(one.first_s)
    used = [meter.read() for meter in meters]
    all_s = sum(one.server_s for one in used)
    # To one meter the other targets are other programs.
    mended = [replace(one, others_s=one.others_s - (all_s - one.server_s)) for one in used]
    return {
        target.name: {
            **_spread("first", own, 1e3),
            "cpu_ms": one.server_s / len(own) * 1e3,
            **ground.busy(one),
        }
        for target, own, one in zip(targets, times, mended, strict=True)
    }


async def paced(target: Target, ground: Ground) -> Figures:
    """Streams that all start at once and get a delta in each pace."""
    return await _burst(target, ground, ground.plan.paced)


async def early(target: Target, ground: Ground) -> Figures:
    """Hundreds of streams that start within half a second."""
    return await _burst(target, ground, ground.plan.early)


async def late(target: Target, ground: Ground) -> Figures:
    """Thousands of streams that start within a second."""
    return await _burst(target, ground, ground.plan.late)


async def _burst(target: Target, ground: Ground, burst: Burst) -> Figures:
    meter = ground.meter(target)
    crowd = await read_crowd(
        target.to_request(burst.model),
        burst.streams,
        within_s=burst.within_s,
        limit_s=ground.plan.limit_s,
    )
    used = meter.read()
    if not crowd.is_finished:
        whole = sum(stream.is_whole for stream in crowd.streams)
        raise NotFinished(f"{whole} of {burst.streams} streams in {ground.plan.limit_s:g} s")
    errors = _count_errors(crowd, burst.deltas)
    if errors == burst.streams:
        raise Failed((crowd.failures or ["deltas are missing"])[0])
    return {
        "errors": errors,
        "chunks_s": crowd.deltas / crowd.elapsed_s,
        "cpu_us": used.server_s / crowd.deltas * 1e6,
        **_spread("first", [one.first_s for one in crowd.streams if one.first_s], 1e3),
        **_spread("delay", [delay for one in crowd.streams for delay in one.delays_s], 1e6),
        **ground.busy(used),
    }


def _count_errors(crowd: Crowd, deltas: int) -> int:
    return sum(not one.is_whole or one.deltas != deltas for one in crowd.streams)


async def saturation(target: Target, ground: Ground) -> Figures:
    """Endless streams whose upstream writes each delta as soon as the last one is taken."""
    plan = ground.plan
    request = target.to_request(f"bench-{_ENDLESS}-0")
    async with open_streams(request, plan.saturating, within_s=0, limit_s=plan.limit_s) as streams:
        _check_open(streams)
        meter = ground.meter(target)
        before = sum(stream.deltas for stream in streams)
        await asyncio.sleep(plan.window_s)
        deltas = sum(stream.deltas for stream in streams) - before
        used = meter.read()
        errors = sum(bool(stream.failure) for stream in streams)
    return {
        "chunks_s": deltas / used.wall_s,
        "cpu_us": used.server_s / max(deltas, 1) * 1e6,
        "errors": errors,
        **ground.busy(used),
    }


def _check_open(streams: list[Stream]) -> None:
    failures = [stream.failure for stream in streams if stream.failure]
    opened = sum(bool(stream.deltas) for stream in streams)
    if len(failures) == len(streams):
        raise Failed(failures[0])
    if opened < len(streams) and not failures:
        raise NotFinished(f"{opened} of {len(streams)} streams had begun")


async def plain(target: Target, ground: Ground) -> Figures:
    """Plain JSON answers over connections that ask one after the other."""
    plan = ground.plan
    request = target.to_request(f"bench-{plan.plain_words}-0", stream=False)
    meter = ground.meter(target)
    asked = await ask_plain(request, plan.asking, seconds=plan.window_s, limit_s=plan.limit_s)
    used = meter.read()
    if not asked.answers:
        raise Failed((asked.failures or ["no plain answer came"])[0])
    return {
        "requests_s": asked.answers / used.wall_s,
        "cpu_ms": used.server_s / asked.answers * 1e3,
        "errors": len(asked.failures),
        **ground.busy(used),
    }


async def idle(target: Target, ground: Ground) -> Figures:
    """Streams that brought their first delta and then one each ten seconds; memory of each."""
    plan = ground.plan
    if target.pid is None:
        return {}
    before = rss_bytes(tree(target.pid))
    meter = ground.meter(target)
    request = target.to_request(f"bench-{_ENDLESS}-{plan.idle_pace_ms}")
    async with open_streams(
        request, plan.idle, within_s=plan.idle_ramp_s, limit_s=plan.limit_s
    ) as streams:
        opening = meter.read()
        await asyncio.sleep(_SETTLE_S)
        opened = sum(bool(one.deltas) and not one.failure for one in streams)
        after = rss_bytes(tree(target.pid))
        failures = [one.failure for one in streams if one.failure]
    if not opened:
        raise Failed((failures or ["no stream began"])[0])
    figures = {
        "opened": opened,
        "errors": len(failures),
        "kb_each": (after - before) / opened / 1000,
        "open_s": opening.wall_s,
        **ground.busy(opening),
    }
    if opened + len(failures) < plan.idle:
        raise NotFinished(f"{opened} of {plan.idle} streams in {plan.limit_s:g} s", figures)
    return figures


def _spread(name: str, values: list[float], scale: float) -> Figures:
    if not values:
        return {}
    ranked = sorted(values)
    p99 = ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))]
    return {f"{name}_p50": statistics.median(ranked) * scale, f"{name}_p99": p99 * scale}


Scenario = Callable[[Target, Ground], Awaitable[Figures]]
# In this order: memory is counted while the server is fresh, the hardest comes last.
SCENARIOS: dict[str, Scenario] = {
    "idle": idle,
    "paced": paced,
    "saturation": saturation,
    "plain": plain,
    "early": early,
    "late": late,
}
IN_TURN = {"first-byte": first_byte}
"""Those in which all targets take part together."""
ENDLESS = frozenset({"idle", "saturation"})
"""Those whose streams end when their client leaves."""
