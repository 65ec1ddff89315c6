"""Commands on sites, keys, the database and the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import click

from sitebrook.access.keys import Key, NewKey, Role, create_key, list_keys, revoke_key
from sitebrook.access.sites import NewSite, Site, create_site, list_sites
from sitebrook.cli.session import choose_site, open_database, open_parts, run_command
from sitebrook.cli.tables import to_table
from sitebrook.db.migrate import migrate, migration_status
from sitebrook.settings import Settings

site_option: Final[Callable[..., Any]] = click.option(
    "--site", "site_name", metavar="NAME", help="The site, by name or id."
)


@click.group("site")
def site_group() -> None:
    """Make and list sites."""


@site_group.command("create")
@click.argument("name")
@click.option("--origin", "origins", multiple=True, help="An origin that may embed the widget.")
@click.option("--instructions", default="", help="What the assistant is told beside its task.")
@click.option("--model", default="auto", show_default=True, help="The model of its answers.")
@click.option("--language", default="en", show_default=True, help="Two-letter language code.")
@click.option("--greeting", default="", help="The widget's first line.")
@click.option("--starter", "starters", multiple=True, help="A question that the widget offers.")
@click.pass_obj
def create_site_command(settings: Settings, **options: Any) -> None:
    """Make a site with a secret and a publishable key, which are printed this once."""
    new = NewSite(
        name=options["name"],
        allowed_origins=tuple(options["origins"]),
        instructions=options["instructions"],
        model=options["model"],
        language=options["language"],
        greeting=options["greeting"],
        starters=tuple(options["starters"]),
    )
    site, secret, publishable = run_command(_create_site(settings, new))
    click.echo(f"Site          {site.name} ({site.id})")
    click.echo(f"Secret key    {secret.value}")
    click.echo(f"Publishable   {publishable.value}")


async def _create_site(settings: Settings, new: NewSite) -> tuple[Site, NewKey, NewKey]:
    async with open_parts(settings) as parts:
        parts.router.find_model(new.model)  # an unknown model is refused now, not at a question
        async with parts.database.begin() as connection:
            site = await create_site(connection, new)
            secret = await create_key(connection, site.id, "site")
            publishable = await create_key(connection, site.id, "publishable")
    return site, secret, publishable


@site_group.command("list")
@click.pass_obj
def list_sites_command(settings: Settings) -> None:
    """List all sites."""

    async def read() -> list[Site]:
        async with open_parts(settings) as parts, parts.database.begin() as connection:
            return await list_sites(connection)

    rows = [
        (site.id, site.name, site.model, site.language, ", ".join(site.allowed_origins))
        for site in run_command(read())
    ]
    click.echo(to_table(("ID", "NAME", "MODEL", "LANGUAGE", "ORIGINS"), rows))


@click.group("key")
def key_group() -> None:
    """Make, list and revoke keys."""


@key_group.command("create")
@site_option
@click.option(
    "--role",
    type=click.Choice(["site", "publishable", "admin"]),
    default="site",
    show_default=True,
    help="site: secret; publishable: for pages; admin: secret, sees every site's figures.",
)
@click.option("--name", default="", help="A note for yourself.")
@click.pass_obj
def create_key_command(settings: Settings, site_name: str | None, role: Role, name: str) -> None:
    """Make a key; a secret one is printed this once."""

    async def create() -> NewKey:
        async with open_parts(settings) as parts:
            site = await choose_site(parts, site_name)
            async with parts.database.begin() as connection:
                return await create_key(connection, site.id, role, name=name)

    click.echo(run_command(create()).value)


@key_group.command("list")
@site_option
@click.pass_obj
def list_keys_command(settings: Settings, site_name: str | None) -> None:
    """List a site's keys."""

    async def read() -> list[Key]:
        async with open_parts(settings) as parts:
            site = await choose_site(parts, site_name)
            async with parts.database.begin() as connection:
                return await list_keys(connection, site.id)

    rows = [
        (
            key.id,
            key.role,
            key.value or f"{key.prefix}…",
            key.name,
            _day(key.created_at),
            _day(key.revoked_at),
        )
        for key in run_command(read())
    ]
    click.echo(to_table(("ID", "ROLE", "KEY", "NAME", "CREATED", "REVOKED"), rows))


@key_group.command("revoke")
@click.argument("key")
@click.pass_obj
def revoke_key_command(settings: Settings, key: str) -> None:
    """Revoke a key by its id; requests with it are refused within a second."""

    async def revoke() -> Key:
        async with open_parts(settings) as parts, parts.database.begin() as connection:
            return await revoke_key(connection, key)

    revoked = run_command(revoke())
    click.echo(f"Revoked {revoked.id} ({revoked.prefix}…).")


@click.group("db")
def db_group() -> None:
    """Migrate the database, or show where it stands."""


@db_group.command("migrate")
@click.pass_obj
def migrate_command(settings: Settings) -> None:
    """Bring the database to this version's tables."""
    with open_database(settings) as url:
        click.echo(f"The database is at revision {migrate(url).current}.")


@db_group.command("status")
@click.pass_obj
def status_command(settings: Settings) -> None:
    """Show the database's revision and the one that this version needs."""
    with open_database(settings) as url:
        status = migration_status(url)
    click.echo(f"The database is at revision {status.current or 'none'}; needed: {status.needed}.")
    if not status.is_current:
        click.echo("Run `sitebrook db migrate`, or `sitebrook serve`, which does it too.")
        raise click.exceptions.Exit(1)


@click.command("settings")
@click.pass_obj
def settings_command(settings: Settings) -> None:
    """Show every setting, its value and where it comes from; secrets are masked."""
    rows = [(one.env, one.shown(), one.source, one.meaning) for one in settings.loaded]
    click.echo(to_table(("NAME", "VALUE", "FROM", "MEANING"), rows))
    rows = [
        (provider.name, provider.kind, provider.base_url, "********" if provider.api_key else "")
        for provider in settings.providers
    ]
    click.echo("\n" + to_table(("PROVIDER", "KIND", "BASE URL", "KEY"), rows))


def _day(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d}"


COMMANDS: Final[tuple[click.Command, ...]] = (site_group, key_group, db_group, settings_command)
