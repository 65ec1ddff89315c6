"""Ten thousand documents of real text taken in by the command, with speed and memory."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.processes import rss_bytes, tree
from tests.bench.report import Row, show
from tests.servers import NotStarted, clean_environment, stop

from sitebrook.evaluation.judged import JudgedSet

DOCUMENTS = 10_000
_CHARACTERS = 1_200
_SAMPLE_S = 0.5
# What the memory of the last quarter may be above that of the second: the first one loads.
_FLAT = 1.1
_DONE = re.compile(rb"^\[(\d+)/(\d+)\] \w+: ")
_SUMMARY = re.compile(r"chunks written: (\d+), ([\d.]+) s")


@dataclass(slots=True)
class Ingested:
    """A run of the command; ``samples`` are documents done and megabytes resident."""

    embedder: str
    documents: int = 0
    chunks: int = 0
    seconds: float = 0.0
    samples: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])

    def peak_mb(self, first: float, last: float) -> float:
        """The most memory between two shares of the documents."""
        low, high = first * self.documents, last * self.documents
        return max((mb for done, mb in self.samples if low <= done <= high), default=0.0)


def measure_ingest(
    url: str, sets: Sequence[JudgedSet], model: Path | None, documents: int
) -> list[Ingested]:
    """The documents keyless, and the tenth of them with the model."""
    with tempfile.TemporaryDirectory(prefix="sitebrook-bench-") as place:
        folder = Path(place)
        results = [_ingest(url, _write(sets, folder / "all", documents), "keyless")]
        if model is not None:
            few = _write(sets, folder / "few", documents // 10)
            env = {"SITEBROOK_EMBEDDING_FOLDER": str(model)}
            results.append(_ingest(url, few, "MiniLM", **env))
    return results


def _write(sets: Sequence[JudgedSet], folder: Path, count: int) -> Path:
    """So many files of the sets' text, each piece once before any is there again."""
    folder.mkdir()
    pieces = [(one.title, piece) for s in sets for one in s.documents for piece in _cut(one.text)]
    for number in range(count):
        again, at = divmod(number, len(pieces))
        # From all over the sets, so that a part of them has every language.
        title, piece = pieces[at * 7919 % len(pieces)]
        head = f"# {title or 'Untitled'}\n\n" + (f"Copy {again + 1}.\n\n" if again else "")
        (folder / f"{number:05}.md").write_text(head + piece + "\n", "utf-8")
    return folder


def _cut(body: str) -> list[str]:
    pieces = [""]
    for sentence in re.split(r"(?<=[.!?])\s+", body):
        if len(pieces[-1]) + len(sentence) > _CHARACTERS and pieces[-1]:
            pieces.append("")
        pieces[-1] = f"{pieces[-1]} {sentence}".strip()
    return [piece for piece in pieces if piece]


def _ingest(url: str, folder: Path, embedder: str, **env: str) -> Ingested:
    found = Ingested(embedder)
    environment = {**clean_environment(), "DATABASE_URL": url, **env}
    command = [sys.executable, "-m", "sitebrook"]
    name = f"ingest {embedder}"
    subprocess.run(
        [*command, "site", "create", name], env=environment, check=True, capture_output=True
    )
    process = subprocess.Popen(
        [*command, "ingest", "--site", name, folder],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        _follow(process, found)
        assert process.stdout is not None
        summary = process.stdout.read().decode()
        matched = _SUMMARY.search(summary)
        if process.wait() or matched is None:
            raise NotStarted(f"sitebrook ingest failed: {summary}")
        found.chunks, found.seconds = int(matched[1]), float(matched[2])
    finally:
        stop(process)
    return found


def _follow(process: subprocess.Popen[bytes], found: Ingested) -> None:
    """Notes how far it is and what memory it and its children have, until its last line."""
    done = 0
    has_ended = threading.Event()

    def sample() -> None:
        while not has_ended.wait(_SAMPLE_S):
            found.samples.append((done, rss_bytes(tree(process.pid)) / 1e6))

    sampling = threading.Thread(target=sample)
    sampling.start()
    told_at = time.monotonic()
    assert process.stderr is not None
    try:
        for line in process.stderr:
            matched = _DONE.match(line)
            if matched is None:
                sys.stderr.buffer.write(line)
                continue
            done, found.documents = int(matched[1]), int(matched[2])
            if time.monotonic() - told_at > 10:
                told_at = time.monotonic()
                print(f"{found.embedder}: {done} of {found.documents}", file=sys.stderr)
    finally:
        has_ended.set()
        sampling.join()


def to_tables(results: Sequence[Ingested]) -> list[str]:
    """A line for each run."""
    return [
        f"  {one.embedder}: {one.documents:,} documents, {one.chunks:,} chunks in "
        f"{one.seconds:.0f} s: {show(one.documents / one.seconds)} documents/s, "
        f"{show(one.chunks / one.seconds)} chunks/s; memory {one.peak_mb(0.25, 0.5):.0f} MB at "
        f"most in the second quarter, {one.peak_mb(0.75, 1):.0f} MB in the last"
        for one in results
    ]


def to_rows(results: Sequence[Ingested]) -> list[Row]:
    """The target of the memory."""
    rows: list[Row] = []
    for one in results:
        before, after = one.peak_mb(0.25, 0.5), one.peak_mb(0.75, 1)
        if before and after:
            what = f"memory while {one.documents:,} documents come in, {one.embedder}"
            value = f"{after:.0f} MB, {after / before:.2f} x the second quarter"
            rows.append(Row(what, value, f"<= {_FLAT:g} x", after <= _FLAT * before))
    return rows
