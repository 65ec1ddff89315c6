from __future__ import annotations

import asyncio

import pytest

from sitebrook.parts import keep


async def test_background_work_begins_again_after_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ZeroDivisionError

    await keep("counting", work, pause_s=0)
    assert begun == 3
    assert [one.exc_info[0] for one in caplog.records if one.exc_info] == [ZeroDivisionError] * 2


async def test_background_work_ends_with_its_task() -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = keep("waiting", work)
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert ended.is_set()
    assert task.cancelled()
