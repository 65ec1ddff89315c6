"""The websites that a site names, as they are stored."""

from __future__ import annotations

import pytest
from tests.factories import make_site

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest, NotFound
from sitebrook.ingestion.website.rules import CrawlOptions
from sitebrook.ingestion.website.sources import delete_source, find_source, save_source


async def test_another_sites_website_is_not_found(database: Database, site: Site) -> None:
    other = await make_site(database, name="Other")
    source = await save_source(database, site.id, "example.com")
    assert source.url == "https://example.com/"
    for action in (find_source, delete_source):
        with pytest.raises(NotFound):
            await action(database, other.id, source.id)
    with pytest.raises(NotFound):
        await find_source(database, site.id, "src_nothing")


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"max_depth": -1}, "max_depth"),
        ({"max_pages": 0}, "max_pages"),
        ({"delay_s": 61}, "delay_s"),
        ({"include": ("docs/*",)}, "include"),
        ({"include": ("/a\0",)}, "include"),
        ({"exclude": ("/a",) * 101}, "exclude"),
    ],
)
async def test_options_out_of_bounds_are_refused(
    database: Database, site: Site, options: dict, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await save_source(database, site.id, "https://example.com", CrawlOptions(**options))
    assert refused.value.param == param
