"""`foveal corrections` goes through what people said about the answers of a served model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import foveal
from foveal.atomic import write_atomic
from foveal.cli.options import Debug, Json, Quiet
from foveal.cli.output import note, write, write_json
from foveal.curation.correct import Corrections
from foveal.curation.corrections import Correction
from foveal.curation.merging import Merged
from foveal.curation.shown import really
from foveal.data.findings import plural
from foveal.destination import writing
from foveal.errors import UsageError
from foveal.render.markup import page_html
from foveal.words import percent, table

# Of long texts: the table has to fit a terminal.
_SHOWN = 22
# What a person goes through at once; the most telling come first.
_MOST_ROWS = 40


def corrections(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of `foveal serve --collect DIR`.")
    ],
    accept: Annotated[
        list[int] | None, typer.Option(metavar="ID", help="Accept a correction; repeatable.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Accept all new corrections that nobody contradicts.")
    ] = False,
    reject: Annotated[
        list[int] | None, typer.Option(metavar="ID", help="Reject a correction; repeatable.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Label for the accepted corrections, in place of their own."
        ),
    ] = None,
    merge: Annotated[
        Path | None,
        typer.Option(metavar="INTO", help="Add all accepted corrections to a labelled set."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show only corrections of this model's answers."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page that shows the corrections with their pictures."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Review the feedback on a served model's answers.

    Wrong answers come first, then the least certain ones. Merging adds
    pictures and labels to a set, and changes nothing that is already there.
    """
    if every and accept:
        raise UsageError("--all and --accept cannot be used together.")
    found = foveal.corrections(
        folder,
        model=model,
        accept="all" if every else accept or (),
        reject=reject or (),
        label=label,
        merge=merge,
    )
    if report is not None:
        with writing(report):
            write_atomic(report, page_html("Corrections", found._repr_html_()))
    if as_json:
        write_json(found.to_json())
        return
    if found.merged is not None:
        _say_merged(found.merged, quiet=quiet)
        return
    if every or accept or reject:
        states = [one.state for one in found]
        write(", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)))
    else:
        _list(found)
    _say_next(found, quiet=quiet)


def _list(found: Corrections) -> None:
    shown: set[int] = set()
    rows = []
    for one in found:
        # Near copies are looked at together, where the first of them stands.
        if one.id in shown:
            continue
        shown |= {one.id, *one.like}
        rows.append(_row(one))
    if rows:
        header = ("id", "state", "answer", "sure", "really", "note", "like it")
        write(table(header, rows[:_MOST_ROWS]))
        if len(rows) > _MOST_ROWS:
            write(f"and {len(rows) - _MOST_ROWS} more: --json lists all")
    else:
        write("no feedback yet")


def _row(one: Correction) -> tuple[str, ...]:
    said = one.feedback.said
    like = ", ".join(map(str, one.like[:4])) + (", …" if len(one.like) > 4 else "")
    answer = _cut("|".join(said.answer) or "-")
    return (
        str(one.id),
        one.state,
        answer,
        percent(said.confidence),
        _cut(really(one)),
        _cut(said.note.replace("\n", " ")),
        like,
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _say_next(found: Corrections, *, quiet: bool) -> None:
    folder = found.folder
    if any(one.state == "new" for one in found):
        note(
            f"\nnext    foveal corrections {folder} --accept ID, --reject ID or --all", quiet=quiet
        )
    if any(one.state == "accepted" for one in found):
        note(f"next    foveal corrections {folder} --merge DATA", quiet=quiet)


def _say_merged(merged: Merged, *, quiet: bool) -> None:
    write(f"{plural(len(merged.added), 'picture')} added to {merged.into}")
    if not (merged.added or merged.already or merged.conflicting):
        note("nothing is accepted that was not merged before", quiet=quiet)
        return
    if merged.new_classes:
        names = ", ".join(map(repr, merged.new_classes))
        write(f"the set had no pictures of {names} before")
    if merged.already:
        write(f"{plural(len(merged.already), 'picture')} already there")
    for id, (name, label) in merged.conflicting.items():
        write(
            f"correction {id} is not merged: {name} is already there with the label "
            f"{'|'.join(label)!r}"
        )
    if merged.conflicting:
        note(f"next    foveal review {merged.into}", quiet=quiet)
    note(f"next    foveal train {merged.into} --from MODEL", quiet=quiet)
