"""``/v1/vector_stores`` with the unmodified OpenAI SDK, over two sites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.integration.api.client import Api, SiteKeys

_SAILS = "# Sails\n\nSpinnaker sails are mended with ripstop nylon tape by the harbour."
_OARS = "# Oars\n\nOars are carved from ash wood and oiled twice a year."
_HARBOUR = "# Harbour\n\nThe harbour is dredged each spring by the ferry company."


def _client(api: Api, site: SiteKeys) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{api.server.url}/v1", api_key=site.secret_key, max_retries=0)


def _clear(client: openai.OpenAI) -> None:
    for store in client.vector_stores.list():
        client.vector_stores.delete(store.id)
    for file in client.files.list():
        client.files.delete(file.id)


@pytest.fixture
def client(api: Api) -> Iterator[openai.OpenAI]:
    """Leaves nothing behind."""
    with _client(api, api.site) as client:
        yield client
        _clear(client)


@pytest.fixture
def other(api: Api) -> Iterator[openai.OpenAI]:
    with _client(api, api.other) as client:
        yield client
        _clear(client)


def upload(client: openai.OpenAI, name: str, text: str) -> str:
    return client.files.create(file=(name, text.encode()), purpose="assistants").id


def fill(client: openai.OpenAI, **attributes: dict[str, Any]) -> str:
    """A store of three files; each can be given attributes by its name."""
    store = client.vector_stores.create(name="Boats")
    texts = {"sails": _SAILS, "oars": _OARS, "harbour": _HARBOUR}
    files = [
        {"file_id": upload(client, f"{name}.md", text), "attributes": attributes.get(name, {})}
        for name, text in texts.items()
    ]
    batch = client.vector_stores.file_batches.create_and_poll(store.id, files=files)
    assert (batch.status, batch.file_counts.completed) == ("completed", 3)
    return store.id


def names(found: Any) -> list[str]:
    return [one.filename.removesuffix(".md") for one in found]


def test_a_file_is_put_in_read_and_found(client: openai.OpenAI) -> None:
    store = client.vector_stores.create(name="Boats", metadata={"kind": "test"})
    assert (store.status, store.file_counts.total, store.usage_bytes) == ("completed", 0, 0)
    entry = client.vector_stores.files.create_and_poll(
        upload(client, "sails.md", _SAILS), vector_store_id=store.id, attributes={"year": 2026}
    )
    assert (entry.status, entry.last_error, entry.object) == (
        "completed",
        None,
        "vector_store.file",
    )
    assert entry.attributes == {"year": 2026}
    assert entry.usage_bytes > len(_SAILS)
    found = client.vector_stores.search(store.id, query="How are spinnaker sails mended?")
    [best] = found.data
    assert (best.file_id, best.filename) == (entry.id, "sails.md")
    assert "ripstop nylon" in best.content[0].text
    assert best.attributes == {"year": 2026}
    assert 0.5 < best.score <= 1
    assert found.search_query == ["How are spinnaker sails mended?"]
    read = client.vector_stores.retrieve(store.id)
    assert (read.name, read.metadata) == ("Boats", {"kind": "test"})
    assert (read.file_counts.completed, read.usage_bytes) == (1, entry.usage_bytes)


def test_a_file_is_uploaded_put_in_and_read_in_one_call(client: openai.OpenAI) -> None:
    store = client.vector_stores.create()
    entry = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("oars.txt", _OARS.encode())
    )
    assert entry.status == "completed"
    [page] = client.vector_stores.files.content(entry.id, vector_store_id=store.id)
    assert "carved from ash wood" in page.text
    assert client.files.retrieve(entry.id).filename == "oars.txt"


def test_a_batch_is_uploaded_and_each_file_stands_for_itself(client: openai.OpenAI) -> None:
    store = client.vector_stores.create()
    batch = client.vector_stores.file_batches.upload_and_poll(
        vector_store_id=store.id,
        files=[("a.md", _SAILS.encode()), ("b.md", b"\x00\x01"), ("c.png", b"\x89PNG\r\n")],
    )
    assert batch.status == "completed"
    counts = batch.file_counts
    assert (counts.completed, counts.failed, counts.in_progress, counts.total) == (1, 2, 0, 3)
    listed = client.vector_stores.file_batches.list_files(
        batch.id, vector_store_id=store.id, filter="failed"
    )
    errors = {client.files.retrieve(one.id).filename: one.last_error for one in listed}
    assert errors["b.md"].code == "invalid_file"
    assert "NUL" in errors["b.md"].message
    assert errors["c.png"].code == "unsupported_file"
    assert "picture" in errors["c.png"].message


def test_a_store_is_made_with_its_files(client: openai.OpenAI) -> None:
    ids = [upload(client, "a.md", _SAILS), upload(client, "b.md", _OARS)]
    store = client.vector_stores.create(file_ids=ids, expires_after=_after(3))
    assert store.expires_at == store.last_active_at + 3 * 86_400
    assert store.file_counts.total == 2
    for one in ids:
        assert client.vector_stores.files.poll(one, vector_store_id=store.id).status == "completed"
    assert client.vector_stores.retrieve(store.id).status == "completed"


def _after(days: int) -> Any:
    return {"anchor": "last_active_at", "days": days}


def test_sizes_of_chunks_are_kept_to(client: openai.OpenAI) -> None:
    text = "\n\n".join(f"Sentence number {n} speaks of anchors and of chains." for n in range(200))
    store = client.vector_stores.create()
    file_id = upload(client, "long.txt", text)
    lengths: dict[int, int] = {}
    for tokens in (100, 400):
        static = {"max_chunk_size_tokens": tokens, "chunk_overlap_tokens": tokens // 4}
        entry = client.vector_stores.files.create_and_poll(
            file_id,
            vector_store_id=store.id,
            chunking_strategy={"type": "static", "static": static},
        )
        assert entry.chunking_strategy.to_dict() == {"type": "static", "static": static}
        found = client.vector_stores.search(store.id, query="anchors chains", max_num_results=50)
        lengths[tokens] = max(len(one.content[0].text) for one in found)
        assert all(one.file_id == file_id for one in found)
    assert lengths[100] <= 400 < lengths[400] <= 1600
    auto = client.vector_stores.files.create(
        store.id, file_id=file_id, chunking_strategy={"type": "auto"}
    )
    assert auto.chunking_strategy.static.max_chunk_size_tokens == 300


def test_filters_choose_files_by_their_attributes(client: openai.OpenAI) -> None:
    store_id = fill(
        client,
        sails={"year": 2024, "kind": "sail", "old": False},
        oars={"year": 2026, "kind": "oar", "old": True},
    )

    def find(**filters: Any) -> set[str]:
        asked = {"query": "sails oars harbour", "filters": filters}
        return set(names(client.vector_stores.search(store_id, **asked)))

    def compare(how: str, key: str, value: Any) -> set[str]:
        return find(type=how, key=key, value=value)

    assert compare("eq", "kind", "oar") == {"oars"}
    assert compare("eq", "year", 2024.0) == {"sails"}
    assert compare("eq", "year", "2024") == set()
    assert compare("eq", "old", True) == {"oars"}
    assert compare("ne", "kind", "oar") == {"sails", "harbour"}
    assert compare("gt", "year", 2024) == {"oars"}
    assert compare("gte", "year", 2024) == {"sails", "oars"}
    assert compare("lt", "year", 2025.5) == {"sails"}
    assert compare("lte", "kind", "oar") == {"oars"}
    assert compare("gt", "kind", 1) == set()
    assert compare("in", "kind", ["oar", "x", 5]) == {"oars"}
    assert compare("nin", "year", [2024, 2025]) == {"oars", "harbour"}
    assert compare("in", "kind", []) == set()
    either = [
        {"type": "eq", "key": "kind", "value": "oar"},
        {"type": "lt", "key": "year", "value": 2025},
    ]
    assert find(type="or", filters=either) == {"sails", "oars"}
    assert find(type="and", filters=either) == set()
    nested = {"type": "and", "filters": [either[1], {"type": "or", "filters": either}]}
    assert find(**nested) == {"sails"}


def test_attributes_can_be_changed(client: openai.OpenAI) -> None:
    store_id = fill(client)
    entry = client.vector_stores.files.list(store_id).data[0]
    changed = client.vector_stores.files.update(
        entry.id, vector_store_id=store_id, attributes={"a": "b", "c": 1.5, "d": True}
    )
    assert changed.attributes == {"a": "b", "c": 1.5, "d": True}
    found = client.vector_stores.search(
        store_id, query="harbour", filters={"type": "eq", "key": "c", "value": 1.5}
    )
    assert {one.file_id for one in found} == {entry.id}


def test_a_threshold_drops_what_the_question_is_not_about(client: openai.OpenAI) -> None:
    store_id = fill(client)
    about = client.vector_stores.search(
        store_id, query="oars of ash wood", ranking_options={"score_threshold": 0.6}
    )
    assert names(about) == ["oars"]
    beside = client.vector_stores.search(
        store_id, query="Wer gewann 1954 in Bern?", ranking_options={"score_threshold": 0.6}
    )
    assert beside.data == []
    weak = client.vector_stores.search(store_id, query="Wer gewann 1954 in Bern?")
    assert all(one.score < 0.6 for one in weak)


def test_several_queries_are_searched_together(client: openai.OpenAI) -> None:
    store_id = fill(client)
    found = client.vector_stores.search(
        store_id,
        query=["carved ash wood", "dredged each spring"],
        max_num_results=2,
        rewrite_query=True,
        ranking_options={"ranker": "none"},
    )
    assert set(names(found)) == {"oars", "harbour"}
    assert found.search_query == ["carved ash wood", "dredged each spring"]


def test_what_is_taken_out_is_no_longer_found(client: openai.OpenAI) -> None:
    store_id = fill(client)
    of = {names([one])[0]: one.file_id for one in client.vector_stores.search(store_id, query=_ALL)}
    gone = client.vector_stores.files.delete(of["oars"], vector_store_id=store_id)
    assert (gone.id, gone.deleted, gone.object) == (of["oars"], True, "vector_store.file.deleted")
    assert set(names(client.vector_stores.search(store_id, query=_ALL))) == {"sails", "harbour"}
    assert client.files.retrieve(of["oars"]).id == of["oars"]
    client.files.delete(of["sails"])
    assert names(client.vector_stores.search(store_id, query=_ALL)) == ["harbour"]
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.retrieve(of["sails"], vector_store_id=store_id)
    deleted = client.vector_stores.delete(store_id)
    assert (deleted.id, deleted.object) == (store_id, "vector_store.deleted")
    with pytest.raises(openai.NotFoundError) as refused:
        client.vector_stores.search(store_id, query=_ALL)
    assert refused.value.code == "vector_store_not_found"
    assert client.files.retrieve(of["harbour"]).id == of["harbour"]


_ALL = "sails oars harbour"


def test_two_sites_with_the_same_files_never_see_each_other(
    client: openai.OpenAI, other: openai.OpenAI
) -> None:
    mine, theirs = fill(client), fill(other)
    for asker, store_id in ((client, mine), (other, theirs)):
        own = {one.id for one in asker.files.list()}
        assert len(own) == 3
        found = asker.vector_stores.search(store_id, query=_ALL)
        assert {one.file_id for one in found} == own
        assert [one.id for one in asker.vector_stores.list()] == [store_id]
    file_id = client.files.list().data[0].id
    batch = client.vector_stores.file_batches.create(mine, file_ids=[file_id])
    stores, files, batches = (
        other.vector_stores,
        other.vector_stores.files,
        other.vector_stores.file_batches,
    )
    in_mine = {"vector_store_id": mine}
    for ask in (
        lambda: stores.retrieve(mine),
        lambda: stores.update(mine, name="x"),
        lambda: stores.delete(mine),
        lambda: stores.search(mine, query=_ALL),
        lambda: files.list(mine),
        lambda: files.create(mine, file_id=file_id),
        lambda: files.create(theirs, file_id=file_id),
        lambda: files.retrieve(file_id, **in_mine),
        lambda: files.retrieve(file_id, vector_store_id=theirs),
        lambda: files.update(file_id, attributes={}, **in_mine),
        lambda: files.delete(file_id, **in_mine),
        lambda: files.content(file_id, **in_mine),
        lambda: batches.create(mine, file_ids=[file_id]),
        lambda: batches.create(theirs, file_ids=[file_id]),
        lambda: batches.retrieve(batch.id, **in_mine),
        lambda: batches.retrieve(batch.id, vector_store_id=theirs),
        lambda: batches.cancel(batch.id, **in_mine),
        lambda: batches.list_files(batch.id, **in_mine),
        lambda: stores.create(file_ids=[file_id]),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()
    assert client.vector_stores.retrieve(mine).file_counts.total == 3


def test_a_sites_documents_and_its_stores_are_apart(api: Api, client: openai.OpenAI) -> None:
    store_id = fill(client)
    found = client.vector_stores.search(store_id, query="When does the workshop open?")
    assert not {"opening", "rigging"} & set(names(found))
    reply = api.send("GET", "/api/search?question=oars+of+ash+wood", None, api.site.server)
    passages = [*reply.json["data"], *reply.json["weak"]]
    assert not [one for one in passages if "ash wood" in one["text"]]
    listed = api.send("GET", "/api/documents?limit=100", None, api.site.server).json
    assert not [one for one in listed["data"] if one["source"].startswith("file_")]


def ask(client: openai.OpenAI, text: str, **retrieval: Any) -> Any:
    """The answer of the mock, which quotes its passages."""
    return client.chat.completions.create(
        model="mock",
        messages=[{"role": "user", "content": text}],
        extra_body={"retrieval": retrieval},
    )


def test_an_answer_is_found_in_stores_when_they_are_named(api: Api, client: openai.OpenAI) -> None:
    store_id = fill(client, oars={"kind": "oar"}, sails={"kind": "sail"})
    empty = client.vector_stores.create().id
    text = "What are oars carved from?"
    found = ask(client, text, store_ids=[empty, store_id])
    assert "ash wood" in found.choices[0].message.content
    [cited] = found.citations
    assert cited["title"] == "Oars"
    page = api.send("GET", cited["url"].removeprefix(api.server.url))
    assert (page.status, b"carved from ash wood" in page.body) == (200, True)
    assert ask(client, text).citations == []
    is_sail = {"type": "eq", "key": "kind", "value": "sail"}
    assert ask(client, text, store_ids=[store_id], filters=is_sail).citations == []
    workshop = "When does the workshop open?"
    assert ask(client, workshop).citations
    assert ask(client, workshop, store_ids=[store_id]).citations == []


def test_an_answer_is_not_found_in_another_sites_store(
    client: openai.OpenAI, other: openai.OpenAI
) -> None:
    theirs = other.vector_stores.create().id
    for store_id in (theirs, "vs_" + "x" * 22, "x"):
        with pytest.raises(openai.NotFoundError) as refused:
            ask(client, "What are oars carved from?", store_ids=[store_id])
        assert (refused.value.code, refused.value.param) == (
            "vector_store_not_found",
            "retrieval.store_ids",
        )
    mine = client.vector_stores.create().id
    with pytest.raises(openai.BadRequestError) as wrong:
        ask(client, "Oars?", store_ids=[mine], filters={"type": "in", "key": "a", "value": 1})
    assert wrong.value.param == "retrieval.filters.value"


def test_lists_go_on_in_both_orders_and_directions(client: openai.OpenAI) -> None:
    ids = [client.vector_stores.create(name=str(n)).id for n in range(5)]
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        assert [one.id for one in client.vector_stores.list(order=order, limit=2)] == expected
        page = client.vector_stores.list(order=order, limit=2, before=expected[3])
        assert [one.id for one in page.data] == expected[1:3]
        assert page.has_more
    store_id = fill(client)
    by_id = sorted(one.id for one in client.files.list())
    for order, expected in (("asc", by_id), ("desc", by_id[::-1])):
        listed = client.vector_stores.files.list(store_id, limit=1, order=order)
        assert [one.id for one in listed] == expected
    done = client.vector_stores.files.list(store_id, filter="completed")
    assert len(done.data) == 3
    assert client.vector_stores.files.list(store_id, filter="failed").data == []


def test_a_store_is_changed_and_null_takes_away(client: openai.OpenAI) -> None:
    store = client.vector_stores.create(name="A", metadata={"a": "b"}, expires_after=_after(1))
    changed = client.vector_stores.update(store.id, name="B")
    assert (changed.name, changed.metadata, changed.expires_after.days) == ("B", {"a": "b"}, 1)
    plain = client.vector_stores.update(store.id, metadata=None, expires_after=None)
    assert (plain.name, plain.metadata, plain.expires_after, plain.expires_at) == (
        "B",
        {},
        None,
        None,
    )


def test_a_cancelled_batch_ends_polling(client: openai.OpenAI) -> None:
    store = client.vector_stores.create()
    ids = [upload(client, f"{n}.md", f"# {n}\n\nText of number {n}.") for n in range(20)]
    batch = client.vector_stores.file_batches.create(store.id, file_ids=ids)
    cancelled = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert cancelled.status == "cancelled"
    ended = client.vector_stores.file_batches.poll(batch.id, vector_store_id=store.id)
    counts = ended.file_counts
    assert counts.in_progress == 0
    assert counts.cancelled > 0
    assert counts.cancelled + counts.completed == counts.total == 20
    again = client.vector_stores.files.create_and_poll(ids[-1], vector_store_id=store.id)
    assert again.status == "completed"
