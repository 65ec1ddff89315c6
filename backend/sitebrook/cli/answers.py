"""Commands that ask: a whole answer, or only the passages for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from sitebrook.chat.citations import Citation
from sitebrook.cli.administration import site_option
from sitebrook.cli.explanation import to_explanation, to_searched
from sitebrook.cli.session import choose_site, open_parts, run_command
from sitebrook.embed import Sitebrook
from sitebrook.providers.protocol import PromptMessage
from sitebrook.settings import Settings

_TEXT_CHARACTERS: Final = 300


@click.command("ask")
@click.argument("question")
@site_option
@click.option("--model", help="The model; else SITEBROOK_MODEL, else the site's.")
@click.pass_obj
def ask(settings: Settings, question: str, **options: Any) -> None:
    """Answer a question from the site's documents, with its sources."""
    _check_question(question)
    run_command(_ask(settings, question, options["site_name"], options["model"]))


def _check_question(question: str) -> None:
    if not question.strip():
        raise click.UsageError("The question is empty.")


async def _ask(settings: Settings, text: str, site_name: str | None, model: str | None) -> None:
    async with open_parts(settings) as parts:
        site = await choose_site(parts, site_name)
        stream = Sitebrook(parts).ask_stream(text, site=site.id, model=model)
        async for delta in stream:
            sys.stdout.write(delta)
            sys.stdout.flush()
    click.echo()
    _print_sources(stream.citations)


def _print_sources(citations: tuple[Citation, ...]) -> None:
    if citations:
        click.echo("\nSources")
    for citation in citations:
        heading = f" > {citation.heading}" if citation.heading else ""
        click.echo(f"[{citation.index}] {citation.title}{heading}\n    {citation.url}")


@click.command("search")
@click.argument("question")
@site_option
@click.option("--limit", type=click.IntRange(1, 50), help="How many passages.")
@click.option("--after", multiple=True, help="A question before it; repeat for several.")
@click.option("--explain", is_flag=True, help="Show why each was found, or left out.")
@click.pass_obj
def search(settings: Settings, question: str, **options: Any) -> None:
    """Show the passages that a question finds, best first."""
    _check_question(question)
    run_command(_search(settings, question, options))


async def _search(settings: Settings, question: str, options: Mapping[str, Any]) -> None:
    async with open_parts(settings) as parts:
        site = await choose_site(parts, options["site_name"])
        history = [PromptMessage(role="user", content=one) for one in options["after"]]
        searched = await parts.follow_ups.to_standalone(question, history)
        found = await parts.searcher.find(
            site.id, searched.text, limit=options["limit"], explains=options["explain"]
        )
    if found.degraded:
        click.echo(f"Not everything could be used: {found.degraded}", err=True)
    if not found.passages:
        click.echo("No passage fits this question.")
    for number, passage in enumerate(found.passages, start=1):
        place = " > ".join((passage.title, *passage.headings))
        text = " ".join(passage.text.split())[:_TEXT_CHARACTERS]
        click.echo(f"{number}. {passage.score:.3f}  {place}\n   {text}\n")
    if found.trace is not None:
        click.echo(to_searched(searched))
        click.echo(to_explanation(found.trace))


COMMANDS: Final[tuple[click.Command, ...]] = (ask, search)
