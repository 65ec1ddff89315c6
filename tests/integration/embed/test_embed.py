"""Programs that ask without HTTP, over a database of documents and over fake upstreams."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.databases import new_database, to_libpq
from tests.factories import make_site
from tests.fakes import openai_scripts
from tests.fakes.upstream import FakeUpstream

from sitebrook import embed
from sitebrook.errors import InvalidRequest, ModelNotFound, NotFound, ProviderError, StartError
from sitebrook.settings import DatabaseSettings, Settings
from sitebrook.wiring.session import open_parts

QUESTION = "What does a unicorn cost?"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database with one site, which has one document."""
    file = tmp_path_factory.mktemp("documents") / "prices.md"
    file.write_text("# Prices\n\nA unicorn costs 4711 ducats a year.\n", "utf-8")

    async def fill(url: str) -> None:
        settings = Settings(database=DatabaseSettings(url=url))
        async with open_parts(settings, print) as parts:
            site = await make_site(parts.database)
            await parts.ingester.ingest_paths(site, [str(file)])

    with new_database() as url:
        # In a thread: asyncio.run takes the main thread's loop from the fixtures that follow.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, fill(url)).result()
        yield url


@pytest.fixture(autouse=True)
def environment(
    knowledge: str, upstream: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program finds in its environment."""
    config = tmp_path / "sitebrook.toml"
    config.write_text(
        '[[providers]]\nname = "mock"\nkind = "mock"\nfirst_delta_delay_s = 0\n'
        "delta_delay_s = 0\n\n"
        f'[[providers]]\nname = "up"\nbase_url = "{upstream.base_url}"\npassthrough = true\n\n'
        '[[models]]\nid = "mock"\nroute = ["mock/mock"]\n',
        "utf-8",
    )
    monkeypatch.setenv("DATABASE_URL", knowledge)
    monkeypatch.setenv("SITEBROOK_CONFIG", str(config))


def stored_conversations(url: str) -> int:
    with psycopg.connect(to_libpq(url)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM conversation").fetchone() or (None,)
    return count


async def test_a_program_gets_a_whole_cited_answer_that_is_not_stored(knowledge: str) -> None:
    answer = await embed.ask(QUESTION)
    assert "4711 ducats" in answer.text
    assert "[1]" in answer.text
    assert [one.title for one in answer.citations] == ["Prices"]
    assert answer.citations[0].url.startswith("http://127.0.0.1:8000/sources/doc_")
    assert (answer.model, answer.provider, answer.finish_reason) == ("mock", "mock", "stop")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    assert stored_conversations(knowledge) == 0


async def test_a_stream_gives_the_same_text_in_pieces_and_its_citations_at_the_end() -> None:
    async with embed.open() as sitebrook:
        whole = await sitebrook.ask(QUESTION)
        stream = sitebrook.ask_stream(QUESTION)
        deltas: list[str] = []
        async for delta in stream:
            deltas.append(delta)
            assert stream.text == "".join(deltas)
        assert len(deltas) > 3
        assert all(deltas)
        assert stream.text == whole.text
        assert stream.citations == whole.citations
        assert stream.usage == whole.usage
        assert (stream.model, stream.provider, stream.finish_reason) == ("mock", "mock", "stop")
        with pytest.raises(RuntimeError, match="once"):
            aiter(stream)
        assert "4711" not in (await sitebrook.ask(QUESTION, retrieval=False)).text


async def test_one_shot_stream() -> None:
    assert "4711" in "".join([delta async for delta in embed.ask_stream(QUESTION)])


def test_the_sync_twins_do_the_same() -> None:
    answer = embed.ask_sync(QUESTION)
    assert "4711 ducats" in answer.text
    stream = embed.ask_stream_sync(QUESTION)
    assert "".join(stream) == stream.text == answer.text
    assert (stream.citations, stream.usage) == (answer.citations, answer.usage)
    assert (stream.model, stream.provider, stream.finish_reason) == ("mock", "mock", "stop")
    with embed.open_sync() as sitebrook:
        assert sitebrook.ask(QUESTION) == answer
        assert "".join(sitebrook.ask_stream(QUESTION)) == answer.text
    assert "sitebrook" not in {thread.name for thread in threading.enumerate()}


async def test_the_sync_twins_work_where_a_loop_is_running() -> None:
    assert "4711 ducats" in embed.ask_sync(QUESTION).text


def test_a_task_is_put_together_in_steps_that_leave_the_earlier_ones_alone() -> None:
    begun = embed.task().system("Answer briefly.").model("mock").temperature(0.2)
    asked = begun.message("Hello").message("Hi!", role="assistant").message(QUESTION)
    brief = asked.max_tokens(3).site("Example")
    with embed.open_sync() as sitebrook:
        whole = asked.ask_sync(sitebrook)
        assert "4711 ducats" in whole.text
        assert "".join(asked.stream_sync(sitebrook)) == whole.text
        cut = brief.ask_sync(sitebrook)
        assert cut.finish_reason == "length"
        assert "4711" not in asked.without_retrieval().ask_sync(sitebrook).text
    with pytest.raises(InvalidRequest) as refused:
        begun.stream()
    assert refused.value.param == "message"
    assert asked.ask_sync() == whole


async def test_a_task_asks_asynchronously_too() -> None:
    asked = embed.task().message(QUESTION)
    async with embed.open() as sitebrook:
        whole = await asked.ask(sitebrook)
        assert "".join([delta async for delta in asked.stream(sitebrook)]) == whole.text
    assert "".join([delta async for delta in asked.stream()]) == whole.text


async def test_what_a_program_sets_reaches_the_provider(upstream: FakeUpstream) -> None:
    history = [{"role": "user", "content": "A\0\ud800"}, embed.Turn("assistant", "B")]
    async with embed.open() as sitebrook:
        answer = await sitebrook.ask(
            "\ud800 What?",
            model="up/normal",
            system="Be brief.",
            history=history,
            temperature=1,
            max_tokens=9,
        )
    assert answer.text == openai_scripts.TEXT
    sent: Any = upstream.requests[-1].json
    assert (sent["temperature"], sent["max_tokens"]) == (1, 9)
    system, *turns = sent["messages"]
    assert "Be brief." in system["content"]
    assert [one["content"] for one in turns] == ["A\ufffd\ufffd", "B", "\ufffd What?"]


async def test_leaving_early_closes_the_upstream(upstream: FakeUpstream) -> None:
    async with embed.open() as sitebrook:
        left = sitebrook.ask_stream("x", model="up/never-ending")
        async for _ in left:
            break
        await upstream.wait_until_closed(timeout_s=1)
        async with sitebrook.ask_stream("x", model="up/never-ending") as closed:
            async for _ in closed:
                break
        await upstream.wait_until_closed(timeout_s=1)
        deltas = aiter(sitebrook.ask_stream("x", model="up/never-ending"))
        await anext(deltas)
        reading = asyncio.create_task(read_all(deltas))
        await asyncio.sleep(0)
        reading.cancel()
        await upstream.wait_until_closed(timeout_s=1)


async def test_leaving_a_one_shot_stream_ends_its_session(upstream: FakeUpstream) -> None:
    async with embed.ask_stream("x", model="up/never-ending") as stream:
        async for _ in stream:
            break
    await upstream.wait_until_closed(timeout_s=1)

    def leave() -> None:
        for _ in embed.ask_stream_sync("x", model="up/never-ending"):
            break

    await asyncio.to_thread(leave)
    await upstream.wait_until_closed(timeout_s=1)


@pytest.mark.parametrize(
    ("question", "options", "param"),
    [
        (" ", {}, "question"),
        ("x" * 100_001, {}, "question"),
        (5, {}, "question"),
        ("x", {"temperature": 2.1}, "temperature"),
        ("x", {"temperature": float("nan")}, "temperature"),
        ("x", {"max_tokens": 0}, "max_tokens"),
        ("x", {"model": 5}, "model"),
        ("x", {"history": [{"role": "system", "content": "x"}]}, "history[0].role"),
        ("x", {"history": [{"role": "user", "content": "x"}] * 201}, "history"),
        ("x", {"history": [embed.Turn("system", "x")]}, "history[0].role"),  # pyright: ignore[reportArgumentType]
        ("x", {"history": (embed.Turn("user", "x" * 100_001),)}, "history[0].content"),
        ("x", {"history": 5}, "history"),
    ],
)
async def test_a_wrong_option_is_named(question: Any, options: dict[str, Any], param: str) -> None:
    for ask in (embed.ask_stream, embed.ask_stream_sync):
        with pytest.raises(InvalidRequest) as refused:
            ask(question, **options)
        assert refused.value.param == param


async def test_an_option_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="temprature"):
        await embed.ask("x", temprature=1)  # pyright: ignore[reportCallIssue]


async def test_errors_are_those_of_the_error_tree() -> None:
    async with embed.open() as sitebrook:
        with pytest.raises(ModelNotFound):
            await sitebrook.ask("x", model="none")
        with pytest.raises(NotFound):
            await sitebrook.ask("x", site="none")
        stream = sitebrook.ask_stream("x", model="up/truncated")
        with pytest.raises(ProviderError):
            [delta async for delta in stream]
        assert stream.text
        assert stream.finish_reason == ""
    with pytest.raises(ModelNotFound):
        embed.ask_sync("x", model="none")


async def test_a_database_that_does_not_answer_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    with pytest.raises(StartError, match="does not answer"):
        await embed.ask("x")
    with pytest.raises(StartError, match="does not answer"):
        embed.ask_sync("x")


async def read_all(deltas: Any) -> None:
    async for _ in deltas:
        pass
