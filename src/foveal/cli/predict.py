"""`foveal predict` answers pictures: files, folders, globs, standard input."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, ModelName, Quiet
from foveal.cli.output import note, table, write, write_json
from foveal.errors import FovealError, UsageError
from foveal.types import JsonObject

if TYPE_CHECKING:
    from foveal.console import Progress

# Rows of the table that are laid out together: wide enough columns, and soon on the screen.
_ROWS_TOGETHER = 256
_SHOWN_SCORES = 5
_BAR_WIDTH = 24
_CSV_COLUMNS = ("source", "answer", "confidence", "unsure", "error", "model", "version", "ms")


def predict(
    model: ModelName,
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE...",
            help="Files, folders, globs; - reads a picture, or paths a line each, from stdin.",
        ),
    ],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    batch_size: Annotated[
        int, typer.Option("--batch-size", "--batch", min=1, help="Pictures run together.")
    ] = 32,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Write masks (STEM.png) and drawn answers (STEM_overlay.jpg) there.",
        ),
    ] = None,
    maps: Annotated[
        bool,
        typer.Option("--maps", help="With --out: each label's probabilities, STEM_LABEL.png."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Answer pictures: files, folders, globs, stdin.

    One that cannot be read gives an error line and exit status 1 at the end; the others are
    answered. --out writes masks and the pictures with their answers drawn on them.
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json cannot be used together.")
    if maps and out is None:
        raise UsageError("--maps writes files.", hint="--maps --out DIR")
    if out is None:
        records = _Counted(_answers(model, pictures, batch_size))
    else:
        progress = _make_progress(streams=as_json or as_csv, quiet=quiet)
        files = _files(pictures)
        records = _Counted(
            foveal.predict(
                model, files, batch_size=batch_size, out=out, maps=maps, progress=progress
            )
        )
    if as_json:
        for record in records:
            write_json(record)
            sys.stdout.flush()
    elif as_csv:
        _write_csv(records)
    else:
        # With files to write the table waits for the end, or it would run through the bar.
        _write_table(records if out is None else list(records))
    if out is not None:
        note(f"{records.total - records.failed} answers written to {out}", quiet=quiet)
    if records.failed:
        note(f"{records.failed} of {records.total} pictures could not be read", quiet=quiet)
        raise typer.Exit(1)


def _answers(model: str, pictures: list[str], batch_size: int) -> Iterator[JsonObject]:
    if "-" not in pictures:
        return foveal.predict(model, pictures, batch_size=batch_size)
    if len(pictures) > 1:
        raise UsageError("- stands for stdin and must be the only PICTURE.")
    data = sys.stdin.buffer.read()
    paths = _as_paths(data)
    if paths is not None:
        return foveal.predict(model, paths, batch_size=batch_size)
    return iter([_answer_bytes(model, data)])


def _files(pictures: list[str]) -> list[str]:
    """Return what shall be answered into files; a picture on stdin has no name for them."""
    if "-" not in pictures:
        return pictures
    paths = _as_paths(sys.stdin.buffer.read()) if len(pictures) == 1 else None
    if paths is None:
        raise UsageError("--out takes files, folders and globs, or paths on stdin.")
    return paths


def _make_progress(*, streams: bool, quiet: bool) -> Progress:
    # Imported late: what draws bars takes longer to load than a small picture to answer.
    from foveal.cli.progress import LineProgress, make_progress

    # A bar would take over stdout, where the records go one by one.
    return LineProgress() if streams and not quiet else make_progress(quiet=quiet)


def _as_paths(data: bytes) -> list[str] | None:
    """Return the lines of `data`, or None when it is not text: then it is a picture."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UsageError("There is nothing on stdin.", hint="foveal predict MODEL - < picture.jpg")
    return lines


def _answer_bytes(model: str, data: bytes) -> JsonObject:
    opened = foveal.load(model)
    try:
        return {**opened(data).record, "source": "-"}
    except FovealError as error:
        return {"source": "-", "error": error.to_json()}


class _Counted:
    """Passes records on, counts them, and says the failed ones on stderr."""

    def __init__(self, records: Iterable[JsonObject]) -> None:
        self._records = records
        self.total = 0
        self.failed = 0

    def __iter__(self) -> Iterator[JsonObject]:
        for record in self._records:
            self.total += 1
            if "error" in record:
                self.failed += 1
                sys.stderr.write(f"error: {record['source']}: {record['error']['message']}\n")
            yield record


def _answer_of(record: JsonObject) -> str:
    """Return the answer in a few words, whatever the task."""
    if "classes" in record:
        return ", ".join(f"{c['name']} {100 * c['share']:.1f} %" for c in record["classes"])
    answer = record.get("label", record.get("text", ""))
    return str(answer) or "(none)"


def _write_csv(records: Iterable[JsonObject]) -> None:
    writer = csv.DictWriter(sys.stdout, _CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        error = record.get("error")
        values = {"error": error["message"]} if error else {"answer": _answer_of(record)}
        writer.writerow({**record, **values})


def _write_table(records: Iterable[JsonObject]) -> None:
    iterator = iter(records)
    while chunk := list(islice(iterator, _ROWS_TOGETHER)):
        good = [record for record in chunk if "error" not in record]
        if not good:
            continue
        rows = [
            (
                _answer_of(record),
                f"{100 * record['confidence']:.1f} %" if "confidence" in record else "",
                "unsure" if record.get("unsure") else "",
                record["source"],
            )
            for record in good
        ]
        write(table(("answer", "confidence", "", "picture"), rows))
        if len(chunk) == 1 and "scores" in good[0]:
            _write_scores(good[0]["scores"])


def _write_scores(scores: dict[str, float]) -> None:
    write("")
    best = sorted(scores.items(), key=lambda item: -item[1])[:_SHOWN_SCORES]
    width = max(len(name) for name, _ in best)
    for name, share in best:
        write(f"{name:<{width}}  {100 * share:5.1f} %  {'█' * round(share * _BAR_WIDTH)}".rstrip())
