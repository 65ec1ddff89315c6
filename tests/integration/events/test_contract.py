"""What every event log promises, wherever its streams are written and read."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.events.conftest import Sides

from sitebrook.errors import InvalidRequest, NotFound
from sitebrook.events.log import DELTA, END, LOST, RESET, SNAPSHOT, Event, EventLog, to_stream

STREAM = to_stream("site_a", "answer", "ans_1")
LENGTH = 100


async def read(log: EventLog, after: str | None = None, **options: bool) -> list[Event]:
    """Everything behind a position, to the end."""
    async with asyncio.timeout(20), log.read(STREAM, after, **options) as reader:
        return [event async for event in reader]


async def take(log: EventLog, count: int, after: str | None = None) -> list[Event]:
    """So many events behind a position."""
    async with asyncio.timeout(20), log.read(STREAM, after) as reader:
        return [await anext(reader) for _ in range(count)]


async def written(log: EventLog, stream: str = STREAM, after: str | None = None) -> None:
    """Returns once readers find the stream, and it has come to the position."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with log.read(stream, after):
                    return
            except NotFound:
                await asyncio.sleep(0.002)


def texts(events: list[Event]) -> list[object]:
    """The payloads of those that a writer gave."""
    return [event.payload for event in events if event.kind not in {END, LOST, SNAPSHOT, RESET}]


async def test_a_reader_gets_what_was_written_and_the_end(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM, 1, {"model": "m"})
    writer.emit(DELTA, {"content": "Hé "})
    writer.emit("cited", ["a", {"b": None}])
    writer.close({"reason": "stop"})
    await written(sides.reading)
    events = await read(sides.reading)
    assert [(event.kind, event.payload, event.position) for event in events] == [
        (DELTA, {"content": "Hé "}, "1-1"),
        ("cited", ["a", {"b": None}], "1-2"),
        (END, {"reason": "stop"}, "1-3"),
    ]


async def test_a_reader_that_waits_gets_events_as_they_come(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM, 1, {"model": "m"})
    await written(sides.reading)
    async with asyncio.timeout(20), sides.reading.read(STREAM) as reader:
        assert reader.head == {"model": "m"}
        assert reader.position == "1-0"
        for number in range(1, 30):
            writer.emit(DELTA, number)
            assert (await anext(reader)).payload == number
            assert reader.position == f"1-{number}"
        writer.close()
        assert (await anext(reader)).kind == END
        with pytest.raises(StopAsyncIteration):
            await anext(reader)


async def test_a_reader_goes_on_behind_every_position(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    for number in range(1, 41):
        writer.emit(DELTA, number)
        if number % 7 == 0:
            await asyncio.sleep(0.002)
    writer.close()
    await written(sides.reading)
    for seq in range(41):
        expected = [*range(seq + 1, 41)]
        assert texts(await read(sides.reading, f"1-{seq}")) == expected
    assert await read(sides.reading, "1-41") == []


async def test_who_comes_later_may_begin_earlier(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    for number in range(1, 41):
        writer.emit(DELTA, number)
        await asyncio.sleep(0.007)
    writer.close()
    await written(sides.reading, after="1-30")
    for seq in (20, 10, 3, 0):
        assert texts(await read(sides.reading, f"1-{seq}")) == [*range(seq + 1, 41)]


async def test_who_comes_behind_the_end_hears_of_it(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    writer.emit(DELTA, 1)
    await asyncio.sleep(0.02)
    writer.close()
    await written(sides.reading, after="1-2")
    assert await read(sides.reading, "1-2") == []
    assert texts(await read(sides.reading)) == [1]


async def test_batches_hold_what_has_arrived_and_end_empty(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    for number in range(20):
        writer.emit(DELTA, number)
    writer.close()
    await written(sides.reading)
    found: list[Event] = []
    async with asyncio.timeout(20), sides.reading.read(STREAM) as reader:
        while batch := await reader.batch():
            found += batch
        assert await reader.batch() == []
    assert [event.seq for event in found] == list(range(1, 22))


async def test_many_readers_get_the_same(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    await written(sides.reading)
    reading = [asyncio.create_task(read(sides.reading)) for _ in range(50)]
    for number in range(60):
        writer.emit(DELTA, number)
        await asyncio.sleep(0)
    writer.close()
    for events in await asyncio.gather(*reading):
        assert texts(events) == list(range(60))


async def test_streams_do_not_disturb_each_other(sides: Sides) -> None:
    names = [to_stream("site_a", "answer", f"ans_{number}") for number in range(20)]
    writers = [sides.writing.writer(name) for name in names]
    for number in range(10):
        for place, writer in enumerate(writers):
            writer.emit(DELTA, [place, number])
        await asyncio.sleep(0)
    for writer in writers:
        writer.close()
    for place, name in enumerate(names):
        await written(sides.reading, name)
        async with asyncio.timeout(20), sides.reading.read(name) as reader:
            payloads = [event.payload async for event in reader if event.kind == DELTA]
        assert payloads == [[place, number] for number in range(10)]


async def test_a_stream_that_never_was_and_another_sites_are_unknown_alike(sides: Sides) -> None:
    sides.writing.writer(STREAM).close()
    await written(sides.reading)
    messages: list[str] = []
    for name in (
        to_stream("site_b", "answer", "ans_1"),
        to_stream("site_a", "answer", "ans_2"),
        "../etc",
        "a:{b}:c",
        "",
    ):
        with pytest.raises(NotFound) as unknown:
            async with sides.reading.read(name):
                pass
        messages.append(str(unknown.value))
        with pytest.raises(NotFound):
            await sides.reading.cancel(name)
    assert len(set(messages)) == 1


@pytest.mark.parametrize(
    "after",
    [
        *("x", "1", "1-", "-1", "1-x", "01-2", "1-02", "0-1", "1--2", "1-2-3", " 1-2", "1-2\n"),
        *("9" * 30 + "-1", "1-" + "9" * 30, "1700000000000-0-0", "ans_1", "1.5-2", "\u0661-\u0662"),
    ],
)
async def test_a_position_that_is_none_is_refused(sides: Sides, after: str) -> None:
    sides.writing.writer(STREAM).emit(DELTA, 1)
    await written(sides.reading)
    with pytest.raises(InvalidRequest) as refused:
        await read(sides.reading, after)
    assert refused.value.code == "invalid_position"
    assert refused.value.param == "after"


@pytest.mark.parametrize("after", ["1-3", "2-0", "2-7", "1-999999", "999999999-1"])
@pytest.mark.parametrize("is_closed", [False, True])
async def test_a_position_of_another_stream_is_refused(
    sides: Sides, after: str, is_closed: bool
) -> None:
    writer = sides.writing.writer(STREAM)
    writer.emit(DELTA, 1)
    if is_closed:
        writer.close()
    else:
        writer.emit(DELTA, 2)
    await written(sides.reading)
    with pytest.raises(InvalidRequest) as refused:
        await read(sides.reading, after)
    assert refused.value.code == "position_ahead"


async def test_who_is_too_far_behind_gets_a_snapshot_and_the_rest(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    sent: list[int] = []
    writer.snapshot(lambda: {"sum": sum(sent), "count": len(sent)})
    for number in range(5 * LENGTH):
        sent.append(number)
        writer.emit("step", number)
        await asyncio.sleep(0.001)  # so that each is written by itself
    for after in (None, "1-0", "1-7"):
        async with asyncio.timeout(20), sides.reading.read(STREAM, after) as reader:
            first = await anext(reader)
            assert first.kind == SNAPSHOT
            assert 2 * LENGTH <= first.seq <= 5 * LENGTH
            assert first.payload == {"sum": sum(sent[: first.seq]), "count": first.seq}
            rest = [await anext(reader) for _ in range(5 * LENGTH - first.seq)]
            assert texts(rest) == sent[first.seq :]
    writer.close()
    for after in (None, "1-7"):
        first, *rest = await read(sides.reading, after)
        assert first.kind == SNAPSHOT
        assert first.payload == {"sum": sum(sent[: first.seq]), "count": first.seq}
        assert texts(rest) == sent[first.seq :]
        assert rest[-1].kind == END


async def test_a_stream_without_a_summary_says_that_events_are_gone(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    for number in range(1, 5 * LENGTH):
        writer.emit("step", number)
        await asyncio.sleep(0.001)
    writer.close()
    await written(sides.reading)
    first, *rest = await read(sides.reading)
    assert (first.kind, first.payload) == (SNAPSHOT, None)
    assert texts(rest) == list(range(first.seq + 1, 5 * LENGTH))


async def test_a_reader_that_was_slow_reads_on_from_the_log(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    sent: list[int] = []
    writer.snapshot(lambda: list(sent))
    sent.append(0)
    writer.emit(DELTA, 0)
    await written(sides.reading)
    async with asyncio.timeout(20), sides.reading.read(STREAM) as reader:
        assert (await anext(reader)).payload == 0
        for number in range(1, 6 * LENGTH):
            sent.append(number)
            writer.emit(DELTA, number)
            await asyncio.sleep(0)
        writer.close()
        await take(sides.reading, 1, f"1-{6 * LENGTH}")
        seen = [0]
        async for event in reader:
            if event.kind == SNAPSHOT:
                seen = event.payload
            elif event.kind == DELTA:
                seen.append(event.payload)
    assert seen == sent


async def test_a_higher_attempt_resets_who_reads_and_who_comes_back(sides: Sides) -> None:
    first = sides.writing.writer(STREAM, 1, {"try": 1})
    first.emit(DELTA, "old")
    await written(sides.reading)
    async with asyncio.timeout(20), sides.reading.read(STREAM) as reader:
        assert (await anext(reader)).payload == "old"
        second = sides.writing.writer(STREAM, 2, {"try": 2})
        second.emit(DELTA, "new")
        reset = await anext(reader)
        assert (reset.kind, reset.position) == (RESET, "2-0")
        assert (await anext(reader)).payload == "new"
        assert reader.head == {"try": 2}
    second.close()
    events = await read(sides.reading, "1-1")
    assert [(event.kind, event.position) for event in events] == [
        (RESET, "2-0"),
        (DELTA, "2-1"),
        (END, "2-2"),
    ]
    assert [event.kind for event in await read(sides.reading)] == [DELTA, END]


async def test_a_lower_attempt_is_fenced_and_writes_nowhere(sides: Sides) -> None:
    first = sides.writing.writer(STREAM, 1)
    first.emit(DELTA, "old")
    second = sides.writing.writer(STREAM, 2)
    second.emit(DELTA, "new")
    first.emit(DELTA, "late")
    first.close()
    assert first.is_fenced
    again = sides.writing.writer(STREAM, 1)
    again.emit(DELTA, "later")
    same = sides.writing.writer(STREAM, 2)
    same.emit(DELTA, "twice")
    assert again.is_fenced
    assert same.is_fenced
    second.close()
    await written(sides.reading)
    assert texts(await read(sides.reading)) == ["new"]


async def test_readers_of_an_abandoned_attempt_get_one_error_event(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    writer.emit(DELTA, 1)
    await written(sides.reading)
    attached = asyncio.create_task(read(sides.reading))
    await asyncio.sleep(0.01)
    writer.abandon()
    writer.close()
    for events in (await attached, await read(sides.reading), await read(sides.reading, "1-1")):
        assert [event.kind for event in events if event.kind != DELTA] == [LOST]


async def test_a_follower_of_an_abandoned_attempt_goes_on_with_the_next(sides: Sides) -> None:
    sides.writing.writer(STREAM, 1).abandon()
    await written(sides.reading)
    following = asyncio.create_task(read(sides.reading, follows=True))
    late = asyncio.create_task(read(sides.reading, "1-1", follows=True))
    await asyncio.sleep(0.01)
    second = sides.writing.writer(STREAM, 2)
    second.emit(DELTA, "new")
    second.close()
    assert [event.kind for event in await following] == [LOST, RESET, DELTA, END]
    assert [event.kind for event in await late] == [RESET, DELTA, END]


async def test_a_follower_may_be_there_before_the_stream(sides: Sides) -> None:
    early = [asyncio.create_task(read(sides.reading, follows=True)) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(NotFound):
        await read(sides.reading)
    with pytest.raises(NotFound):
        await sides.reading.cancel(STREAM)
    early.pop().cancel()
    writer = sides.writing.writer(STREAM, 3, {"model": "m"})
    writer.emit(DELTA, 1)
    writer.close()
    for events in await asyncio.gather(*early):
        assert [event.position for event in events] == ["3-1", "3-2"]


async def test_cancel_reaches_the_writer_once(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    await written(sides.reading)
    heard = asyncio.Event()
    calls: list[str] = []

    def hear() -> None:
        calls.append("cancel")
        heard.set()

    writer.on_cancel(hear)
    assert await sides.reading.cancel(STREAM)
    async with asyncio.timeout(2):
        await heard.wait()
    late: list[str] = []
    writer.on_cancel(lambda: late.append("late"))
    assert (calls, late) == (["cancel"], ["late"])
    writer.close()
    await read(sides.reading)
    assert not await sides.reading.cancel(STREAM)


async def test_kinds_of_the_log_itself_cannot_be_written(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    for kind in (END, LOST, RESET, SNAPSHOT, "", "a b", 'a"', "x" * 65, "ä"):
        with pytest.raises(ValueError, match="cannot be the kind"):
            writer.emit(kind)
    with pytest.raises(ValueError, match="over 1,000,000 bytes"):
        writer.emit(DELTA, "x" * 1_000_000)
    assert writer.emit(DELTA, "x" * 900_000).position == "1-1"
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="after the end"):
        writer.emit(DELTA)


async def test_what_readers_and_writers_do_is_counted(sides: Sides) -> None:
    writer = sides.writing.writer(STREAM)
    writer.emit(DELTA, 1)
    await written(sides.reading)
    async with sides.reading.read(STREAM):
        assert sides.reading.figures().readers == 1
        assert sides.writing.figures().streams == 1
        assert sides.writing.figures().emitted == 1
        assert not sides.writing.figures().is_degraded
    writer.close()
    await read(sides.reading)
    assert sides.reading.figures().readers == 0
    assert sides.writing.figures().streams == 0
