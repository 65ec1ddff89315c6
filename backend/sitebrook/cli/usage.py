"""The command that shows what answers used and cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import click
import msgspec

from sitebrook.chat.usage import UsageReport, UsageRow, UsageTotals, load_usage, to_query
from sitebrook.cli.administration import site_option
from sitebrook.cli.session import choose_site, open_parts, run_command
from sitebrook.cli.tables import to_table
from sitebrook.settings import Settings

_UNKNOWN: Final = "unknown"
_HEAD: Final = ("SITE", "MODEL", "PROVIDER", "ANSWERS", "PROMPT", "COMPLETION", "COST", "NOTES")


@click.command("usage")
@site_option
@click.option("--since", help="The first time or day that counts; else 30 days before the last.")
@click.option("--until", help="The time or day before which answers count; else now.")
@click.option("--by-day", is_flag=True, help="A row for each day (UTC).")
@click.option("--json", "as_json", is_flag=True, help="As JSON, like `GET /api/usage`.")
@click.pass_obj
def usage(settings: Settings, site_name: str | None, **options: Any) -> None:
    """Show tokens and costs of stored answers by site, model and provider."""
    report = run_command(_load(settings, site_name, options))
    click.echo(_to_json(report) if options["as_json"] else _to_text(report))


async def _load(settings: Settings, site_name: str | None, options: dict[str, Any]) -> UsageReport:
    to_query(options["since"], options["until"], site_id=None, by_day=options["by_day"])
    async with open_parts(settings) as parts:
        # Without --site all sites are meant, also where a key in the environment names one.
        site_id = None if site_name is None else (await choose_site(parts, site_name)).id
        query = to_query(
            options["since"], options["until"], site_id=site_id, by_day=options["by_day"]
        )
        return await load_usage(parts.database, query)


def _to_text(report: UsageReport) -> str:
    query = report.query
    head = ("DAY", *_HEAD) if query.by_day else _HEAD
    rows = [_to_cells(row, by_day=query.by_day) for row in report.rows]
    total = ["TOTAL", "", "", *_to_sums(report.totals)]
    rows.append(["", *total] if query.by_day else total)
    span = f"{query.since:%Y-%m-%d %H:%M} to {query.until:%Y-%m-%d %H:%M} UTC"
    return f"{span}\n{to_table(head, rows)}"


def _to_cells(row: UsageRow, *, by_day: bool) -> list[str]:
    cells = [row.site_name, row.model, row.provider, *_to_sums(row)]
    return [f"{row.day:%Y-%m-%d}", *cells] if by_day else cells


def _to_sums(totals: UsageTotals) -> list[str]:
    notes = (
        (totals.interrupted, "interrupted"),
        (totals.estimated, "estimated"),
        (totals.without_tokens, "without tokens"),
        (totals.without_cost, "of unknown cost"),
    )
    return [
        str(totals.answers),
        str(totals.prompt_tokens),
        str(totals.completion_tokens),
        _UNKNOWN if totals.cost is None else _to_money(totals.cost),
        ", ".join(f"{count} {what}" for count, what in notes if count),
    ]


def _to_money(cost: Decimal) -> str:
    """Every digit of the sum, without an exponent or zeros at its end."""
    text = f"{cost:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _to_json(report: UsageReport) -> str:
    # Imported only here: the web framework takes a sixth of the start of every other command.
    from sitebrook.api.usage import to_response

    return msgspec.json.format(msgspec.json.encode(to_response(report)), indent=2).decode()


COMMANDS: Final[tuple[click.Command, ...]] = (usage,)
