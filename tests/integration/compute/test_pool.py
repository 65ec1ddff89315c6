from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.fakes import work

from sitebrook.compute.pool import ComputePool
from sitebrook.compute.work import Limits, Work
from sitebrook.errors import BodyTooLarge, Unavailable, WorkFailed
from sitebrook.settings import ComputeSettings

LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")


def to_work(function: Callable[[Any], Any], asked: Any = object, given: Any = None) -> Any:
    return Work(f"tests.fakes.work:{function.__name__}", asked, given or type(None))


DOUBLE = to_work(work.double, int, int)
WHO = to_work(work.process_id, float, int)
SLEEP = to_work(work.sleep, float)


@contextlib.asynccontextmanager
async def running_pool(**over: Any) -> AsyncIterator[ComputePool]:
    pool = ComputePool(ComputeSettings(**{"children": 2, **over}))
    try:
        yield pool
    finally:
        await pool.aclose()


@pytest.fixture
async def pool() -> AsyncIterator[ComputePool]:
    async with running_pool() as pool:
        yield pool


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_hundred_calls_at_once_use_no_more_children_than_there_may_be(
    pool: ComputePool,
) -> None:
    found = await asyncio.gather(*(pool.run(WHO, 0.001) for _ in range(100)))
    assert 1 <= len(set(found)) <= 2


async def test_no_child_is_started_before_there_is_work() -> None:
    before = threading.active_count()
    async with running_pool():
        assert threading.active_count() == before


async def test_a_child_is_replaced_after_its_number_of_calls() -> None:
    async with running_pool(children=1, calls_per_child=3) as pool:
        found = [await pool.run(WHO, 0) for _ in range(7)]
        assert [found.count(one) for one in dict.fromkeys(found)] == [3, 3, 1]


async def test_arrays_go_there_and_back(pool: ComputePool) -> None:
    matrix = work.Matrix("m", np.random.default_rng(1).random((500, 300), np.float32), np.arange(9))
    found = await pool.run(to_work(work.transpose, work.Matrix, work.Matrix), matrix)
    assert np.array_equal(found.numbers, matrix.numbers.T)
    assert np.array_equal(found.places, matrix.places[::-1])


@LINUX
async def test_a_child_knows_nothing_of_the_environment_and_inherits_no_socket(
    pool: ComputePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        facts = await pool.run(to_work(work.facts, None, work.Facts), None)
    assert "sk-secret" not in facts.environment.values()
    assert set(facts.environment) <= {
        "LANG", "PYTHONPATH", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
        "TMPDIR", "TZ", "LD_LIBRARY_PATH", "LC_CTYPE",
    }  # fmt: skip
    # Its pipe, and nothing behind its standard streams.
    assert [name.partition(":")[0] for name in facts.descriptors] == [*["/dev/null"] * 3, "socket"]
    assert facts.niceness >= 5


@LINUX
async def test_a_child_imports_only_what_its_work_needs(pool: ComputePool) -> None:
    facts = await pool.run(to_work(work.facts, None, work.Facts), None)
    assert not {"asyncio", "sqlalchemy", "litestar", "sitebrook.settings"} & set(facts.modules)


@LINUX
async def test_a_child_reaches_no_network_and_starts_nothing(pool: ComputePool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = "Operation not permitted"
        assert await pool.run(to_work(work.connect, int, str), port) == refused
        assert await pool.run(to_work(work.start_program, str, str), "/bin/true") == refused
        assert await pool.run(to_work(work.start_process, None, str), None) == refused
        assert await pool.run(to_work(work.start_thread, None, str), None) == "started"


async def test_what_work_refuses_is_raised_as_the_same_error(pool: ComputePool) -> None:
    with pytest.raises(BodyTooLarge, match="too much") as raised:
        await pool.run(to_work(work.refuse), "too much")
    assert (raised.value.param, raised.value.code) == ("content", "too_large")


@pytest.mark.parametrize(
    ("function", "asked", "cause", "message"),
    [
        (work.take_memory, 2**30, "memory", "more memory than 512 MB"),
        (work.leave, 3, "crash", "exited with status 3"),
        (work.leave_at_once, 0, "crash", "exited with status 0"),
        (work.raise_signal, signal.SIGSEGV, "crash", "signal 11"),
        (work.raise_signal, signal.SIGKILL, "crash", "signal 9"),
        (work.garbage, b"what is this, no answer at least", "answer", "not a frame"),
        (work.hang_up, None, "crash", "closed its pipe"),
        (work.fail, "the name", "error", "KeyError"),
        (work.fail_oddly, 0xD800, "error", "ValueError"),
        (work.recurse, 0, "error", "RecursionError"),
        (work.text_instead, None, "error", "TypeError"),
        (work.object_array, None, "error", "TypeError"),
    ],
)
async def test_work_that_breaks_says_how_and_takes_nothing_else_with_it(
    pool: ComputePool, function: Callable[[Any], Any], asked: object, cause: str, message: str
) -> None:
    other = asyncio.create_task(pool.run(WHO, 0.2))
    with pytest.raises(WorkFailed, match=message) as raised:
        await pool.run(to_work(function), asked)
    assert raised.value.cause == cause
    assert await other
    assert await pool.run(DOUBLE, 21) == 42


@pytest.mark.parametrize(
    ("function", "asked"),
    [(work.loop, None), (work.loop_without_the_interpreter, None), (work.sleep, 60.0)],
)
async def test_endless_work_is_ended_at_its_time(
    pool: ComputePool, function: Callable[[Any], Any], asked: object
) -> None:
    await asyncio.gather(pool.run(WHO, 0.1), pool.run(WHO, 0.1))
    started = time.monotonic()
    with pytest.raises(WorkFailed, match=r"longer than 0\.5 s") as raised:
        await pool.run(to_work(function), asked, Limits(time_s=0.5))
    assert raised.value.cause == "time"
    assert 0.5 <= time.monotonic() - started < 3
    assert await pool.run(DOUBLE, 21) == 42


async def test_memory_taken_by_and_by_is_bounded_too() -> None:
    async with running_pool(memory_bytes=100 * 2**20) as pool:
        with pytest.raises(WorkFailed, match="more memory than 100 MB"):
            await pool.run(to_work(work.take_memory_by_and_by), None)


@LINUX
async def test_memory_outside_the_kernels_count_is_watched() -> None:
    async with running_pool(memory_bytes=100 * 2**20) as pool:
        with pytest.raises(WorkFailed, match="more memory than 100 MB"):
            await pool.run(to_work(work.take_shared_memory), None)


async def test_an_answer_above_its_bound_is_not_read(pool: ComputePool) -> None:
    big = to_work(work.big_answer, int, bytes)
    assert len(await pool.run(big, 3_000_000)) == 3_000_000
    with pytest.raises(WorkFailed, match=r"at most 1,000,000 are taken") as raised:
        await pool.run(big, 3_000_000, Limits(answer_bytes=1_000_000))
    assert raised.value.cause == "answer"


async def test_an_answer_of_another_type_is_refused(pool: ComputePool) -> None:
    with pytest.raises(WorkFailed) as raised:
        await pool.run(to_work(work.double, int, str), 2)
    assert raised.value.cause == "answer"
    doubles = to_work(work.doubles_instead, None, NDArray[np.float32])
    with pytest.raises(WorkFailed, match="float64"):
        await pool.run(doubles, None)


async def test_what_a_child_says_unasked_is_no_other_calls_answer() -> None:
    async with running_pool(children=1) as pool:
        assert await pool.run(to_work(work.forge, int, int), 4) == 5
        assert await pool.run(DOUBLE, 21) == 42


async def test_what_work_raised_is_kept_apart_from_what_is_shown(pool: ComputePool) -> None:
    with pytest.raises(WorkFailed) as raised:
        await pool.run(to_work(work.fail), "a secret")
    assert raised.value.detail == "KeyError: 'a secret'"
    assert "secret" not in raised.value.message


async def test_printing_reaches_nobody(pool: ComputePool) -> None:
    assert await pool.run(to_work(work.print_much, str, str), "x") == "x"


@LINUX
async def test_a_cancelled_caller_kills_the_child_at_once(pool: ComputePool) -> None:
    process_id = await pool.run(WHO, 0)
    running = asyncio.create_task(pool.run(to_work(work.loop), None))
    await until(lambda: _processor_time(process_id) > 0.3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not is_alive(process_id), 2)
    assert await pool.run(DOUBLE, 21) == 42


async def test_a_caller_who_gives_up_waiting_costs_no_child() -> None:
    async with running_pool(children=1) as pool:
        process_id = await pool.run(WHO, 0)
        running = asyncio.create_task(pool.run(WHO, 0.5))
        waiting = asyncio.create_task(pool.run(WHO, 0))
        await asyncio.sleep(0)
        waiting.cancel()
        assert await running == process_id
        assert await pool.run(WHO, 0) == process_id


async def test_no_more_calls_wait_than_may() -> None:
    async with running_pool(children=1, waiting=2) as pool:
        calls = [asyncio.create_task(pool.run(WHO, 0.1)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="2 pieces of work are waiting") as raised:
            await pool.run(WHO, 0)
        assert raised.value.retry_after_s
        assert len(set(await asyncio.gather(*calls))) == 1
        assert await pool.run(DOUBLE, 1) == 2


@LINUX
async def test_a_child_that_was_killed_while_it_waited_is_replaced(pool: ComputePool) -> None:
    process_id = await pool.run(WHO, 0)
    os.kill(process_id, signal.SIGKILL)
    await until(lambda: not is_alive(process_id))
    assert await pool.run(DOUBLE, 21) == 42


@LINUX
async def test_a_child_without_work_ends() -> None:
    async with running_pool(idle_s=0.2) as pool:
        found = await asyncio.gather(pool.run(WHO, 0.1), pool.run(WHO, 0.1))
        await until(lambda: not any(map(is_alive, found)))
        assert await pool.run(WHO, 0) not in found


@LINUX
async def test_closing_ends_children_and_fails_what_they_do() -> None:
    async with running_pool() as pool:
        found = await asyncio.gather(pool.run(WHO, 0.1), pool.run(WHO, 0.1))
        calls = [asyncio.create_task(pool.run(SLEEP, 60.0)) for _ in range(5)]
        await asyncio.sleep(0.2)
        await pool.aclose()
        assert not any(map(is_alive, found))
        for failed in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(failed, WorkFailed)
            assert failed.cause == "closed"
        with pytest.raises(WorkFailed):
            await pool.run(DOUBLE, 1)


async def test_the_event_loop_goes_on_while_children_are_busy(pool: ComputePool) -> None:
    matrix = work.Matrix("m", np.zeros((2000, 1000), np.float32), np.arange(9))
    transpose = to_work(work.transpose, work.Matrix, work.Matrix)
    await pool.run(transpose, matrix)
    busy = asyncio.gather(
        *(pool.run(to_work(work.compute, float, int), 0.5) for _ in range(4)),
        *(pool.run(transpose, matrix) for _ in range(20)),
    )
    lags: list[float] = []
    while not busy.done():
        before = time.monotonic()
        await asyncio.sleep(0.005)
        lags.append(time.monotonic() - before - 0.005)
    await busy
    assert len(lags) > 50
    lags.sort()
    assert lags[len(lags) * 9 // 10] < 0.02
    assert lags[-1] < 0.25


def _processor_time(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
