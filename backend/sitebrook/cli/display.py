"""How far a job with files or pages is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress as ProgressBar

from sitebrook.cli.progress import open_bar
from sitebrook.ingestion.ingest import Progress
from sitebrook.jobs.job import Job

_PATH_CHARACTERS: Final = 48
_REFUSED: Final = "The document is refused: "


class Display:
    """How far it is: a bar on a terminal, else a line for each file that it hears of."""

    def __init__(self, bar: ProgressBar | None) -> None:
        self._bar = bar
        self._shown = 0
        self._task = bar.add_task("", total=None) if bar else None

    def show(self, progress: Progress) -> None:
        """Shows one file that is done."""
        self.show_one(progress.done, progress.total, progress.path, progress.outcome)

    def show_one(self, done: int, total: int, name: str, outcome: str) -> None:
        """Shows one file or page of so many that is done."""
        if self._bar is None or self._task is None:
            shown = f": {to_line(name)}" if name else ""
            sys.stderr.write(f"[{done}/{total}] {outcome}{shown}\n")
            return
        shown = to_line(name)[-_PATH_CHARACTERS:]
        self._bar.update(self._task, completed=done, total=total, description=shown)

    def show_job(self, job: Job) -> None:
        """Shows what the job last told of a file or of a page."""
        told: dict[str, Any] = job.progress or {}
        if "done" not in told:
            return
        name = str(told.get("source") or told.get("url", ""))
        if self._bar is None:
            if ("outcome" in told or not name) and told["done"] > self._shown:
                self._shown = told["done"]
                self.show_one(told["done"], told["total"], name, told.get("outcome", told["stage"]))
        elif self._task is not None:
            self._bar.update(
                self._task,
                completed=told["done"],
                total=told["total"],
                description=f"{told['stage']} {to_line(name)[-_PATH_CHARACTERS:]}",
            )


def to_refusal(source: str, reason: str) -> str:
    """What a command says of a file that was refused."""
    return f"refused: {to_line(source)}: {reason.removeprefix(_REFUSED)}"


def to_line(name: str) -> str:
    """A name as part of one line: what is not to be seen is written as in Python."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in name)


@contextlib.contextmanager
def open_display() -> Generator[Display]:
    """Shows on standard error for the length of a block."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Display(None)
        return
    with open_bar(console) as bar:
        yield Display(bar)
