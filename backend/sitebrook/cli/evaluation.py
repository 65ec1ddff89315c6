"""``sitebrook eval``: how good the passages are, by judged questions."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import TaskID

from sitebrook.access.sites import Site
from sitebrook.cli.administration import site_option
from sitebrook.cli.progress import open_bar
from sitebrook.cli.session import choose_site, open_parts, run_command
from sitebrook.cli.tables import to_table
from sitebrook.evaluation.collected import collect
from sitebrook.evaluation.evaluate import Evaluation, Measured, OnProgress, evaluate, fill_site
from sitebrook.evaluation.judged import JudgedSet, read_set, write_set
from sitebrook.evaluation.measures import MEASURES, check_bars, check_installed
from sitebrook.evaluation.runs import FUSED
from sitebrook.evaluation.tuning import Tuning
from sitebrook.parts import Parts
from sitebrook.retrieval.knowledge import set_vector_weight
from sitebrook.settings import Settings

_BELOW_BAR: Final = 3
# Sets that bring documents are measured in a database of their own, kept for the next run.
_OWN_FOLDER: Final = "evaluation"


@click.command("eval")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@site_option
@click.option("--bar", "bars", multiple=True, help="A least value such as ndcg@10=0.6.")
@click.option("--tune", is_flag=True, help="Find the weight of the vectors for these questions.")
@click.option("--save", is_flag=True, help="With --tune: make it the site's own if it is better.")
@click.option("--collect", is_flag=True, help="Write the site's own questions into FOLDER.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def evaluate_command(settings: Settings, folder: Path | None, **options: Any) -> None:
    """Measure what judged questions find.

    FOLDER has queries.jsonl, qrels.tsv and, unless it judges the site's own documents,
    corpus.jsonl. Without FOLDER the questions are those of the site's conversations. Ends with 3
    when a measure is below its bar. Needs the extra 'eval'.
    """
    if options["collect"]:
        if folder is None:
            raise click.UsageError("--collect needs the FOLDER to write to.")
        run_command(_collect(settings, folder, options["site_name"]))
        return
    check_installed()
    bars = check_bars(options["bars"])
    judged = None if folder is None else read_set(folder)
    _check_save(judged, options)
    measured = run_command(_evaluate(settings, judged, options))
    click.echo(_to_json(measured) if options["as_json"] else "\n".join(_to_lines(measured)))
    if measured.failure is not None:
        click.echo(f"Vectors could not be used: {measured.failure}", err=True)
    values = measured.measures[FUSED]
    missed = [name for name, least in bars.items() if values[name] < least]
    for name in missed:
        click.echo(f"Below the bar: {name} is {values[name]:.3f}, not {bars[name]:g}.", err=True)
    if missed:
        raise click.exceptions.Exit(_BELOW_BAR)


def _check_save(judged: JudgedSet | None, options: Mapping[str, Any]) -> None:
    if options["save"] and not options["tune"]:
        raise click.UsageError("--save keeps what --tune finds; give both.")
    if options["save"] and judged is not None and judged.documents:
        raise click.UsageError(
            "--save needs a set that judges the site's own documents; this one has a corpus.jsonl."
        )


async def _collect(settings: Settings, folder: Path, site_name: str | None) -> None:
    async with open_parts(settings) as parts:
        site = await choose_site(parts, site_name)
        judged = await collect(parts.database, site.id)
    await asyncio.to_thread(write_set, folder, judged)
    click.echo(
        f"Wrote {len(judged.questions)} questions with the documents that their answers cite to "
        f"{folder}. Read them before you trust them: an answer may cite the wrong document."
    )


async def _evaluate(
    settings: Settings, judged: JudgedSet | None, options: Mapping[str, Any]
) -> Evaluation:
    brings_documents = judged is not None and bool(judged.documents)
    with _progress() as on_progress:
        async with open_parts(_of_its_own(settings) if brings_documents else settings) as parts:
            measured = _to_measured(parts)
            if judged is not None and judged.documents:
                site = await fill_site(measured, judged, on_progress)
            else:
                site = await choose_site(parts, options["site_name"])
                judged = judged or await collect(parts.database, site.id)
            found = await evaluate(
                measured, site.id, judged, tunes=options["tune"], on_progress=on_progress
            )
            if options["save"]:
                await _save(parts, site, found.tuning)
            return found


async def _save(parts: Parts, site: Site, tuning: Tuning | None) -> None:
    if tuning is not None:
        weight = tuning.weight if tuning.is_better else None
        await set_vector_weight(parts.database, site.id, weight)


def _of_its_own(settings: Settings) -> Settings:
    """The settings with an embedded database that no server uses."""
    folder = settings.server.data_dir / _OWN_FOLDER
    return dataclasses.replace(
        settings,
        server=dataclasses.replace(settings.server, data_dir=folder),
        database=dataclasses.replace(settings.database, url=None),
        redis=dataclasses.replace(settings.redis, url=None),
    )


def _to_measured(parts: Parts) -> Measured:
    return Measured(parts.database, parts.ingester, parts.searcher, parts.embedders.default.name)


@contextlib.contextmanager
def _progress() -> Generator[OnProgress]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _what, _done, _total: None
        return
    with open_bar(console) as bar:
        tasks: dict[str, TaskID] = {}

        def move(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield move


def _to_lines(measured: Evaluation) -> Iterator[str]:
    yield (
        f"{measured.name}: {measured.documents:,} documents in {measured.chunks:,} chunks, "
        f"{measured.questions:,} questions"
    )
    if measured.unknown:
        names = ", ".join(measured.unknown_names)
        more = ", …" if measured.unknown > len(measured.unknown_names) else ""
        yield (
            f"{measured.unknown} judged documents are not among them and count as not found: "
            f"{names}{more}"
        )
    rows = [
        [name, *(f"{values[one]:.3f}" for one in MEASURES), str(measured.unanswered[name])]
        for name, values in measured.measures.items()
    ]
    yield ""
    yield to_table(["", "nDCG@10", "recall@5", "recall@10", "MRR@10", "without result"], rows)
    yield ""
    yield (
        f"nDCG@10 of both: {measured.of_better_leg:.3f} of the better one alone, "
        f"{measured.of_recipe:.3f} of rank-bm25 and vectors by RRF 60"
    )
    phases = ", ".join(
        f"{name} {median:.1f} / {slow:.1f}" for name, (median, slow) in measured.latency_ms.items()
    )
    yield f"Milliseconds, median / 95th percentile: {phases}"
    if measured.tuning is not None:
        yield from _to_tuning(measured.tuning)


def _to_tuning(tuning: Tuning) -> Iterator[str]:
    yield ""
    yield (
        f"Best weight of the vectors: {tuning.weight:.2f}, nDCG@10 {tuning.reached:.3f} "
        f"(now {tuning.by_rule:.3f})"
    )
    yield f"On questions that a weight was not found by: {tuning.held_out:.3f}"
    curve = ", ".join(f"{weight:.1f}: {value:.3f}" for weight, value in _tenths(tuning))
    yield f"By weight: {curve}"
    if not tuning.is_better:
        yield "No weight can be expected to do better than what decides now."


def _tenths(tuning: Tuning) -> Iterator[tuple[float, float]]:
    return ((one, value) for at, (one, value) in enumerate(tuning.curve.items()) if at % 2 == 0)


def _to_json(measured: Evaluation) -> str:
    ratios = {"of_better_leg": measured.of_better_leg, "of_recipe": measured.of_recipe}
    return json.dumps({**dataclasses.asdict(measured), **ratios}, indent=2)


COMMANDS: Final[tuple[click.Command, ...]] = (evaluate_command,)
