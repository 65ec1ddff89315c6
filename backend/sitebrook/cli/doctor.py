"""``sitebrook doctor``: whether all that is needed is there, and what to do about the rest."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import click

from sitebrook.cli.session import hold_database, run_command
from sitebrook.doctor.examination import examine
from sitebrook.doctor.findings import Finding, Level, fail, worst
from sitebrook.doctor.machine import check_folder
from sitebrook.errors import StartError
from sitebrook.settings import Settings
from sitebrook.wiring.database import is_there
from sitebrook.wiring.doctor import open_examined

# Nothing is asked there: parts cannot be made without an address.
_NOWHERE: Final = "postgresql+psycopg:///none"
_COLOURS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def doctor(settings: Settings | StartError, as_json: bool) -> None:
    """Check the database, Redis, providers, workers and this machine.

    Each line says what is found and what to do about it. Providers are asked for one token each.
    Makes no database: the first start of the server does. Ends with 1 when something does not
    work.
    """
    if isinstance(settings, StartError):
        findings = [_refuse_settings(settings)]
    else:
        findings = _examine(settings)
    level = worst(findings)
    if as_json:
        told = [{**dataclasses.asdict(one), "level": one.level.value} for one in findings]
        click.echo(json.dumps({"level": level.value, "findings": told}, indent=2))
    else:
        _print(findings)
    if level is Level.FAIL:
        raise click.exceptions.Exit(1)


def _examine(settings: Settings) -> list[Finding]:
    findings = [check_folder(settings.server.data_dir)]
    with contextlib.ExitStack() as held:
        try:
            has_database = is_there(settings)
            url = held.enter_context(hold_database(settings)).url if has_database else _NOWHERE
        except StartError as error:
            advice = "Do what it says, then look again: the rest needs a database."
            return [*findings, fail("database", str(error), advice)]
        found = dataclasses.replace(settings.database, url=url)
        examined = dataclasses.replace(settings, database=found)
        findings += run_command(_examine_parts(examined, has_database=has_database))
    return findings


async def _examine_parts(settings: Settings, *, has_database: bool) -> list[Finding]:
    try:
        async with open_examined(settings) as (parts, other_log):
            return await examine(
                parts, other_log, has_database=has_database, now=lambda: datetime.now(UTC)
            )
    except StartError as error:
        return [_refuse_settings(error)]


def _refuse_settings(error: StartError) -> Finding:
    return fail("settings", str(error), "Change the setting that it names.")


def _print(findings: Sequence[Finding]) -> None:
    width = max(len(one.check) for one in findings)
    for one in findings:
        level = click.style(f"{one.level.value:<4}", fg=_COLOURS[one.level])
        click.echo(f"{level}  {one.check:<{width}}  {one.says}")
        if one.advice is not None:
            click.echo(f"{'':<{width + 8}}{one.advice}")


COMMANDS: Final[tuple[click.Command, ...]] = (doctor,)
