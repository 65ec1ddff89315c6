from __future__ import annotations

import asyncio

import pytest

from sitebrook.providers.bulkhead import Slots


async def waiting(slots: Slots, count: int, wait_s: float = 5) -> list[asyncio.Task[bool]]:
    """Those who wait for a slot, in order."""
    tasks = [asyncio.create_task(slots.take(wait_s)) for _ in range(count)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def test_as_many_as_there_are_slots_pass_and_no_more():
    slots = Slots(2)
    assert await slots.take(0)
    assert await slots.take(0)
    assert not await slots.take(0)
    slots.give_back()
    assert await slots.take(0)


async def test_a_free_slot_goes_to_who_has_waited_longest():
    slots = Slots(2)
    assert await slots.take(0)
    assert await slots.take(0)
    first, second = await waiting(slots, 2)
    slots.give_back()
    assert await first
    assert not second.done()
    assert not await slots.take(0)  # nobody gets in before who waits
    slots.give_back()
    assert await second
    assert slots.free == 0


async def test_who_waited_too_long_gets_none_and_takes_none():
    slots = Slots(1)
    assert await slots.take(0)
    assert not await slots.take(0.01)
    slots.give_back()
    assert slots.free == 1


async def test_at_most_as_many_wait_as_there_are_slots():
    slots = Slots(2)
    assert await slots.take(0)
    assert await slots.take(0)
    tasks = await waiting(slots, 2)
    assert not await slots.take(5)
    slots.give_back()
    slots.give_back()
    assert await asyncio.gather(*tasks) == [True, True]


@pytest.mark.parametrize("gives_back_first", [True, False])
async def test_who_is_cancelled_while_waiting_keeps_no_slot(*, gives_back_first):
    slots = Slots(1)
    assert await slots.take(0)
    (task,) = await waiting(slots, 1)
    if gives_back_first:
        slots.give_back()  # it has the slot, and is cancelled before it learns of it
        task.cancel()
    else:
        task.cancel()
        slots.give_back()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slots.free == 1


async def test_a_slot_of_who_was_cancelled_goes_to_the_next():
    slots = Slots(3)
    for _ in range(3):
        assert await slots.take(0)
    first, second, third = await waiting(slots, 3)
    slots.give_back()
    first.cancel()
    second.cancel()
    assert await third
    slots.give_back()
    assert slots.free == 1
