"""Answers under way while a process stops: taken, waited for, ended."""

from __future__ import annotations

import asyncio

import pytest

from sitebrook.chat.open_answers import OpenAnswers
from sitebrook.errors import RequestError, Unavailable

LONG_S = 60.0


def ignore(_: RequestError) -> None:
    """An answer that does not end when it is told to."""


async def answer(
    open_answers: OpenAnswers, release: asyncio.Event, ended_by: list[RequestError]
) -> None:
    """An answer that ends when released, or with the error that it is given."""

    def end(error: RequestError) -> None:
        ended_by.append(error)
        release.set()

    with open_answers.enter(end):
        await release.wait()


async def test_an_answer_counts_while_it_is_under_way() -> None:
    open_answers = OpenAnswers()
    assert len(open_answers) == 0
    with open_answers.enter(ignore):
        assert len(open_answers) == 1
        with open_answers.enter(ignore):
            assert len(open_answers) == 2
    assert len(open_answers) == 0


async def test_an_answer_that_fails_counts_no_longer() -> None:
    open_answers = OpenAnswers()
    with pytest.raises(ValueError, match="broken"), open_answers.enter(ignore):
        raise ValueError("broken")
    assert len(open_answers) == 0


async def test_a_stopping_process_refuses_new_answers_and_says_when_to_come_back() -> None:
    open_answers = OpenAnswers()
    assert not open_answers.is_draining
    open_answers.begin_drain()
    assert open_answers.is_draining
    with pytest.raises(Unavailable) as refused, open_answers.enter(ignore):
        pytest.fail("entered")
    assert refused.value.code == "server_stopping"
    assert refused.value.retry_after_s


async def test_a_drain_without_answers_returns_at_once() -> None:
    async with asyncio.timeout(1):
        await OpenAnswers().drain(LONG_S)


async def test_a_drain_returns_when_the_last_answer_has_ended_by_itself() -> None:
    open_answers, release, ended_by = OpenAnswers(), asyncio.Event(), []
    answers = [asyncio.create_task(answer(open_answers, release, ended_by)) for _ in range(3)]
    await asyncio.sleep(0)
    draining = asyncio.create_task(open_answers.drain(LONG_S))
    await asyncio.sleep(0)
    assert open_answers.is_draining
    assert not draining.done()
    release.set()
    async with asyncio.timeout(1):
        await draining
        await asyncio.gather(*answers)
    assert ended_by == []


async def test_answers_that_take_too_long_are_each_ended_with_an_error_of_their_own() -> None:
    open_answers, ended_by = OpenAnswers(), []
    work = [answer(open_answers, asyncio.Event(), ended_by) for _ in range(3)]
    answers = [asyncio.create_task(one) for one in work]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await open_answers.drain(0.01)
        await asyncio.gather(*answers)
    assert [error.code for error in ended_by] == ["server_stopping"] * 3
    assert len({id(error) for error in ended_by}) == 3


async def test_a_hurried_drain_ends_the_answers_at_once() -> None:
    open_answers, ended_by = OpenAnswers(), []
    answering = asyncio.create_task(answer(open_answers, asyncio.Event(), ended_by))
    draining = asyncio.create_task(open_answers.drain(LONG_S))
    await asyncio.sleep(0)
    open_answers.hurry()
    async with asyncio.timeout(1):
        await draining
        await answering
    assert len(ended_by) == 1


async def test_an_answer_that_cannot_end_does_not_hold_the_drain() -> None:
    open_answers = OpenAnswers()
    with open_answers.enter(ignore):
        async with asyncio.timeout(2):
            await open_answers.drain(0.01)
        assert len(open_answers) == 1
