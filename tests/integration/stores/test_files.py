"""Files and their lists in a real database, by a clock of the test's own."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.factories import make_site
from tests.integration.stores.clocks import Clock

from sitebrook.db.engine import Database
from sitebrook.errors import BodyTooLarge, InvalidRequest, NotFound
from sitebrook.stores.files import File, Files, NewFile
from sitebrook.stores.paging import Window


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(database: Database, clock: Clock) -> Files:
    return Files(database, max_bytes=10, clock=clock)


async def add(files: Files, site_id: str, **over: object) -> File:
    fields = {"name": "a.md", "content": b"# A", "purpose": "assistants", **over}
    return await files.add(site_id, NewFile(**fields))


async def test_an_expired_file_is_hidden_at_once_and_removed_later(
    database: Database, files: Files, clock: Clock
) -> None:
    site = await make_site(database)
    kept = await add(files, site.id)
    brief = await add(files, site.id, expires_after_s=3600)
    clock.move(seconds=3599)
    assert (await files.read(site.id, brief.id)).content == b"# A"
    assert await files.remove_expired() == 0
    clock.move(seconds=1)
    with pytest.raises(NotFound):
        await files.find(site.id, brief.id)
    page = await files.list(site.id, Window(10))
    assert [one.id for one in page.entries] == [kept.id]
    assert await files.remove_expired() == 1
    async with database.begin() as connection:
        left = (await connection.execute(sa.text("SELECT id FROM file"))).scalars().all()
    assert left == [kept.id]


async def test_files_of_one_moment_are_listed_once_each_in_the_order_of_their_ids(
    database: Database, files: Files
) -> None:
    site = await make_site(database)
    ids = sorted([(await add(files, site.id)).id for _ in range(7)])
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        seen: list[str] = []
        while True:
            after = seen[-1] if seen else None
            page = await files.list(site.id, Window(3, order, after))
            seen += [one.id for one in page.entries]
            if not page.has_more:
                break
        assert seen == expected
        back = await files.list(site.id, Window(3, order, before=expected[5]))
        assert [one.id for one in back.entries] == expected[2:5]
        assert back.has_more
        first = await files.list(site.id, Window(3, order, before=expected[2]))
        assert [one.id for one in first.entries] == expected[:2]
        assert not first.has_more
        both = await files.list(site.id, Window(9, order, expected[1], expected[4]))
        assert [one.id for one in both.entries] == expected[2:4]


async def test_a_place_of_another_sites_list_is_none(database: Database, files: Files) -> None:
    site, other = await make_site(database), await make_site(database, name="Other")
    foreign = await add(files, other.id)
    for window in (Window(3, after=foreign.id), Window(3, before=foreign.id)):
        with pytest.raises(InvalidRequest) as refused:
            await files.list(site.id, window)
        assert refused.value.param in {"after", "before"}


async def test_a_file_over_the_limit_is_refused(database: Database, files: Files) -> None:
    site = await make_site(database)
    assert (await add(files, site.id, content=b"x" * 10)).size_bytes == 10
    with pytest.raises(BodyTooLarge, match="SITEBROOK_MAX_DOCUMENT_BYTES"):
        await add(files, site.id, content=b"x" * 11)


async def test_a_sites_files_go_with_it(database: Database, files: Files) -> None:
    site = await make_site(database)
    await add(files, site.id)
    async with database.begin() as connection:
        await connection.execute(sa.text("DELETE FROM site"))
        assert (await connection.execute(sa.text("SELECT count(*) FROM file"))).scalar_one() == 0
