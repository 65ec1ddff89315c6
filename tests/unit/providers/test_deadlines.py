from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from sitebrook.providers.deadlines import Deadlines


class Clock:
    """What of a loop the deadlines use, with a time that the test sets."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self.timers, (when, len(self.timers), callback, args))

    def run_until(self, now: float) -> None:
        self.now = now
        while self.timers and self.timers[0][0] <= now:
            _, _, callback, args = heapq.heappop(self.timers)
            callback(*args)


class Member:
    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.expired = 0
        self._then = then

    def expire(self) -> None:
        self.expired += 1
        self._then()


def made() -> tuple[Clock, Deadlines]:
    clock = Clock()
    loop: Any = clock
    return clock, Deadlines(loop)


def test_a_member_is_told_once_and_never_early():
    clock, deadlines = made()
    for number in range(200):
        member, at = Member(), 7 + number / 1000
        deadlines.add(member, at)
        clock.run_until(at - 1e-6)
        assert member.expired == 0
        clock.run_until(at + 0.051)
        assert member.expired == 1
    assert not clock.timers


def test_a_far_member_is_told_within_a_second():
    clock, deadlines = made()
    members = [Member() for _ in range(100)]
    for number, member in enumerate(members):
        deadlines.add(member, 30 + number / 100)
    assert len(clock.timers) == 1
    clock.run_until(30.99 - 1e-6)
    assert not any(member.expired for member in members)
    clock.run_until(31)
    assert all(member.expired == 1 for member in members)


def test_who_has_left_is_not_told():
    clock, deadlines = made()
    leaving, staying = Member(), Member()
    deadlines.add(leaving, 1).pop(leaving)
    deadlines.add(staying, 1)
    clock.run_until(2)
    assert (leaving.expired, staying.expired) == (0, 1)


def test_those_of_one_moment_share_a_timer():
    clock, deadlines = made()
    for number in range(1000):
        deadlines.add(Member(), 30 + number / 100_000)
    assert len(clock.timers) == 1


def test_a_member_may_take_others_out_and_come_again():
    clock, deadlines = made()
    other = Member()
    first = Member(lambda: (deadlines.add(first, 5 * first.expired), slot.pop(other, None)))
    slot = deadlines.add(other, 1)
    deadlines.add(first, 1)
    clock.run_until(2)
    assert (first.expired, other.expired) == (1, 0)
    clock.run_until(6)
    assert first.expired == 2


async def test_the_loops_own_timers_are_late_but_not_much():
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    since = loop.time()
    Deadlines(loop).add(Member(told.set), since + 0.02)
    await asyncio.wait_for(told.wait(), 5)
    assert loop.time() - since >= 0.019
