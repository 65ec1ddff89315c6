from __future__ import annotations

import re

import pytest
from tests.commands import refusal, succeed
from tests.factories import make_key, make_site

from sitebrook.access.keys import find_key
from sitebrook.access.sites import Site
from sitebrook.db.engine import Database


async def test_a_new_site_gets_both_keys_and_is_listed(
    database_url: str, database: Database
) -> None:
    origins = ["--origin", "https://www.example.com", "--origin", "HTTPS://shop.example.com:443/"]
    said = succeed(
        "site", "create", "My shop", *origins, "--language", "it", DATABASE_URL=database_url
    )
    values = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in said.splitlines())
    site_id = values["Site"].removeprefix("My shop (").removesuffix(")")
    async with database.begin() as connection:
        secret = await find_key(connection, values["Secret key"])
        page = await find_key(connection, values["Publishable"])
    assert secret is not None
    assert page is not None
    assert (secret.site_id, secret.role, secret.value) == (site_id, "site", None)
    assert (page.site_id, page.role) == (site_id, "publishable")

    head, row = succeed("site", "list", DATABASE_URL=database_url).splitlines()
    assert head.split() == ["ID", "NAME", "MODEL", "LANGUAGE", "ORIGINS"]
    assert row.startswith(f"{site_id}  My shop  auto   it")
    assert row.endswith("https://www.example.com, https://shop.example.com")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Example"], "There is a site named 'Example' already."),
        (["New", "--origin", "www.example.com"], "'www.example.com' is not an origin"),
        (["New", "--model", "none"], "There is no model 'none'"),
    ],
)
def test_a_site_that_cannot_be_is_refused_in_one_line(
    database_url: str, site: Site, arguments: list[str], message: str
) -> None:
    code, line = refusal("site", "create", *arguments, DATABASE_URL=database_url)
    assert code == 1
    assert line.startswith("sitebrook: ")
    assert message in line


async def test_a_key_is_made_listed_and_revoked(
    database_url: str, database: Database, site: Site
) -> None:
    page_key = await make_key(database, site, "publishable")
    url = {"DATABASE_URL": database_url}
    made = succeed("key", "create", "--role", "admin", "--name", "for ops", **url).strip()
    async with database.begin() as connection:
        key = await find_key(connection, made)
    assert key is not None
    assert (key.site_id, key.role, key.name) == (site.id, "admin", "for ops")

    listed = succeed("key", "list", "--site", "Example", **url)
    assert made not in listed
    assert f"{key.prefix}…" in listed
    assert page_key.value in listed

    assert succeed("key", "revoke", key.id, **url) == f"Revoked {key.id} ({key.prefix}…).\n"
    row = next(line for line in succeed("key", "list", **url).splitlines() if key.id in line)
    assert re.search(r"for ops  \d{4}-\d\d-\d\d  \d{4}-\d\d-\d\d$", row)
    assert refusal("key", "revoke", "key_unknown", **url) == (
        1,
        "sitebrook: 'key_unknown' names 0 keys; `sitebrook key list` shows ids.",
    )


async def test_several_sites_need_a_choice_by_name_or_by_key(
    database_url: str, database: Database, site: Site
) -> None:
    other = await make_site(database, name="Other")
    key = await make_key(database, other)
    url = {"DATABASE_URL": database_url}
    for command in (["ask", "Why?"], ["ingest", "."]):
        assert refusal(*command, **url) == (
            1,
            "sitebrook: Choose a site with --site: 'Example', 'Other'.",
        )
    assert key.key.id in succeed("key", "list", **url, SITEBROOK_SECRET_KEY=key.value)
    assert key.key.id in succeed("key", "list", "--site", other.id, **url)
    assert refusal("key", "list", "--site", "Third", **url) == (
        1,
        "sitebrook: There is no site 'Third'; `sitebrook site list` shows them.",
    )
