"""`foveal collect` fetches labelled pictures from listing pages or from a list of addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import foveal
from foveal.cli.options import Debug, Json, Quiet, Set
from foveal.cli.output import note, wrapped, write, write_json
from foveal.cli.signals import termination_as_interrupt
from foveal.errors import DataError
from foveal.progress import command_progress
from foveal.words import table

if TYPE_CHECKING:
    from foveal.collect.report import Collected, FirstPage

_MOST_NOTES = 10
_WIDTH = 79


def collect(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="YAML recipe, or a table with the columns address and label."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show what the first page of each class lists; download no pictures."
        ),
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Read the listing pages again to find new pictures.")
    ] = False,
    allow_private: Annotated[
        bool,
        typer.Option(
            "--allow-private", help="Also connect to this machine and to private networks."
        ),
    ] = False,
    overrides: Set = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Collect pictures from web pages into class folders.

    A recipe for listing pages; selectors are CSS or XPath:

    \b
      classes:
        phone: https://shop.example/phones
        laptop: https://shop.example/laptops
      item: li.ad
      picture: img
      next: a.next
      fields: {title: h3, price: .price}
      limits: {pages: 20, pictures: 500, bytes: 1GB, time: 1h}

    If it is stopped or killed, run the same command again: it continues and
    downloads nothing twice. Files are kept as they came, duplicates once;
    DIR/provenance.csv records where each picture came from.

    Polite: robots.txt is obeyed, each host gets about one request a second,
    and Retry-After is honoured. Put an address where you can be reached into
    user_agent.

    Legal: that a page is public does not license its pictures. Read the terms
    of the site, and respect copyright and personal data before you publish
    the pictures or a model trained on them.
    """
    with termination_as_interrupt() as ending, command_progress(quiet=quiet) as progress:
        try:
            collected = foveal.collect(
                recipe,
                out,
                dry_run=dry_run,
                update=update,
                allow_private=allow_private,
                overrides=overrides or (),
                progress=progress,
            )
        except KeyboardInterrupt as interrupt:
            partial: Collected | None = getattr(interrupt, "collected", None)
            progress.finish()
            if partial is None:
                raise
            _show(partial, as_json=as_json, quiet=quiet)
            raise typer.Exit(ending.status) from interrupt
    _show(collected, as_json=as_json, quiet=quiet)
    if dry_run:
        if not any(page.contents and page.contents.entries for page in collected.pages):
            raise _no_pictures(recipe, collected.pages)
    elif not collected.kept:
        private = " --allow-private" if allow_private else ""
        hint = f"foveal collect {recipe} --dry-run{private}"
        raise DataError("No picture was collected.", hint=hint)
    elif collected.stopped is None:
        note(f"next    foveal check {collected.out}", quiet=quiet)


def _no_pictures(recipe: str, pages: Sequence[FirstPage]) -> DataError:
    """Return the error for first pages that list nothing: what was wrong with all of them."""
    problems = {page.problem for page in pages}
    if len(problems) != 1 or problems == {None}:
        return DataError(
            "No pictures were found on the first pages.",
            hint="change the selectors 'item' and 'picture' in the recipe",
        )
    problem = str(problems.pop())
    hints = {
        "private address": f"foveal collect {recipe} --dry-run --allow-private",
        "forbidden by robots.txt": "ask who runs the site, or collect somewhere else",
    }
    hint = hints.get(problem, "open the addresses under 'classes' in a browser")
    return DataError(f"None of the first pages could be read: {problem}.", hint=hint)


def _show(collected: Collected, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        write_json(collected.to_json())
        return
    for page in collected.pages:
        write("\n".join(_page_lines(page)))
    if collected.out is None:
        return
    write(table(collected.header, collected.rows()))
    if collected.left:
        write(f"\n{table(collected.reasons_header, collected.reasons())}")
    size = f"{collected.received / 1e6:,.1f} MB in {collected.seconds:,.0f} s"
    write(f"\n{collected.new:,} new, {collected.kept:,} in all in {collected.out}; {size}")
    for line in _notes(collected.notes):
        note(line, quiet=quiet)
    if collected.stopped is not None:
        note(
            wrapped(f"Not finished: {collected.stopped}. Run the same command again to continue."),
            quiet=quiet,
        )


def _notes(notes: Iterable[str]) -> Iterator[str]:
    given = list(notes)
    yield from (wrapped(f"note: {text}") for text in given[:_MOST_NOTES])
    if len(given) > _MOST_NOTES:
        yield f"note: and {len(given) - _MOST_NOTES:,} more; --json lists all"


def _page_lines(page: FirstPage) -> Iterator[str]:
    """Return what a first page lists, in lines of a terminal."""
    yield _cut(f"{page.label}: {page.address}")
    listed = page.contents
    if listed is None:
        yield f"  not read: {page.problem}"
        return
    yield f"  {listed.items:,} items, {len(listed.entries):,} pictures"
    for entry in listed.entries[:3]:
        problem = f"  ({entry.problem})" if entry.problem else ""
        yield _cut(f"  picture  {entry.picture}{problem}")
        for name, text in entry.fields.items():
            yield _cut(f"    {name}: {text or '(nothing)'}")
    yield _cut(f"  next     {listed.next or '(none)'}")


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
