from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sitebrook.access.limits import (
    Allowance,
    ProcessLimiter,
    allowance_of_address,
    allowances_of,
)
from sitebrook.errors import LimitReached
from sitebrook.settings import LimitSettings


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _of(visitor: str = "vis_1", *, per_minute: int = 0, at_once: int = 0) -> Allowance:
    return Allowance("visitor", visitor, per_minute, at_once)


async def test_a_minutes_worth_may_come_at_once_and_then_one_at_a_time() -> None:
    clock = _Clock()
    limiter = ProcessLimiter(clock)
    for _ in range(6):
        await limiter.count([_of(per_minute=6)])
    with pytest.raises(LimitReached) as refused:
        await limiter.count([_of(per_minute=6)])
    assert refused.value.retry_after_s == pytest.approx(10)
    assert "10 s" in refused.value.message
    clock.now += 10
    await limiter.count([_of(per_minute=6)])
    with pytest.raises(LimitReached):
        await limiter.count([_of(per_minute=6)])
    clock.now += 60
    for _ in range(6):
        await limiter.count([_of(per_minute=6)])


async def test_a_refused_request_costs_nobody_anything() -> None:
    limiter = ProcessLimiter(_Clock())
    await limiter.count([_of("vis_1", per_minute=1)])
    for _ in range(5):
        with pytest.raises(LimitReached):
            await limiter.count([_of("vis_2", per_minute=1), _of("vis_1", per_minute=1)])
    await limiter.count([_of("vis_2", per_minute=1)])


async def test_zero_is_no_limit() -> None:
    limiter = ProcessLimiter(_Clock())
    for _ in range(1000):
        await limiter.open([_of()])


async def test_open_answers_are_counted_down() -> None:
    limiter = ProcessLimiter(_Clock())
    one = [_of(at_once=1)]
    await limiter.open(one)
    with pytest.raises(LimitReached) as refused:
        await limiter.open(one)
    assert refused.value.code == "visitor_open_answers_limit"
    await limiter.open([_of("vis_2", at_once=1)])
    await limiter.close(one)
    await limiter.open(one)


async def test_subjects_that_may_ask_again_are_forgotten() -> None:
    clock = _Clock()
    limiter = ProcessLimiter(clock)
    for number in range(25_000):
        clock.now += 0.1
        await limiter.count([_of(f"vis_{number}", per_minute=60)])
    assert len(limiter._due_at) <= 10_000


def _caller(role: str, visitor_id: str | None = None) -> Any:
    return SimpleNamespace(
        key_id="key_1", visitor_id=visitor_id, has_secret_key=role in {"site", "admin"}
    )


def test_a_server_counts_by_its_key_and_a_visitor_by_key_address_and_token() -> None:
    limits = LimitSettings(key_requests_per_minute=1)
    found = allowances_of(_caller("site"), "192.0.2.1", limits)
    assert [one.scope for one in found] == ["key"]
    found = allowances_of(_caller("visitor", "vis_1"), "192.0.2.1", limits)
    assert [(one.scope, one.id) for one in found] == [
        ("key", "key_1"),
        ("address", "192.0.2.1"),
        ("visitor", "vis_1"),
    ]
    found = allowances_of(_caller("publishable"), "192.0.2.1", limits)
    assert [one.scope for one in found] == ["key", "address"]
    assert not allowances_of(_caller("site"), "192.0.2.1", LimitSettings())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_of_ipv6_counts_with_its_network(address: str, network: str) -> None:
    assert allowance_of_address(address, LimitSettings()).id == network
