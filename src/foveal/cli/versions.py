"""`foveal models list`, `show` and `diff`: what is in a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

import foveal
from foveal.cli.export import exports_table
from foveal.cli.options import Debug, Json, Quiet, StorePath
from foveal.cli.output import metric_rows, note, wrapped, write, write_json
from foveal.metrics import Interval
from foveal.store.changes import kept_result
from foveal.store.difference import Difference
from foveal.store.exports import StoredExports
from foveal.store.record import Record, StoredVersion
from foveal.store.reference import Reference
from foveal.store.state import NameState
from foveal.store.store import Store
from foveal.types import JsonObject
from foveal.words import table
from foveal.workflow.exports import exports_of
from foveal.workflow.stored_runs import compare_versions

# More make a line of labels that nobody reads.
_LABELS = 8


def listed(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="List only this name.")
    ] = None,
    store: StorePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List the versions in the store, with aliases and metrics.

    Every file is verified: damaged versions are shown as such.
    """
    opened = foveal.open_store(store)
    names = opened.names() if name is None else (name,)
    found = [(opened.state(each), opened.versions(each)) for each in names]
    problems = {
        str(version): opened.problem(version.name, version.version)
        for _, versions in found
        for version in versions
    }
    if as_json:
        models = [_name_json(state, versions, problems) for state, versions in found]
        write_json({"schema_version": 1, "store": opened.location, "models": models})
        return
    if not found:
        note(f"the store {opened.location} is empty", quiet=quiet)
        note("publish a model: foveal models push RUN NAME", quiet=quiet)
        return
    rows = [_row(version, problems[str(version)]) for _, versions in found for version in versions]
    write(table(("model", "aliases", "published", "metric", "to its parent, points"), rows))
    for about, problem in problems.items():
        if problem is not None:
            note(wrapped(f"{about}: {problem}"))


def show(
    model: Annotated[str, typer.Argument(metavar="NAME", help="NAME, NAME:VERSION or NAME@ALIAS.")],
    store: StorePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show a version, or the aliases of a name and their history."""
    opened = foveal.open_store(store)
    reference = Reference.read(model)
    version = opened.resolve(reference)
    if reference.version is None and reference.alias is None:
        state = opened.state(version.name)
        if as_json:
            versions = opened.versions(version.name)
            write_json({"schema_version": 1, **_name_json(state, versions, None)})
        else:
            _show_name(state)
        return
    # Opened, so that nothing is said of a damaged one.
    bundle = opened.bundle(version.name, version.version)
    exports = exports_of(StoredExports(opened.files, version.name, version.version))
    if as_json:
        shown = {**_version_json(version, None), "exports": exports}
        write_json({"schema_version": 1, "name": version.name, **shown})
        return
    lines = [
        ("labels", _labels(bundle.task.labels.names)),
        ("backbone", bundle.manifest.backbone),
    ]
    _show_version(version, lines)
    if version.record is not None:
        _show_metrics(opened, version, version.record)
    if exports:
        write("")
        write(exports_table(exports))


def _labels(names: Sequence[str]) -> str:
    more = len(names) - _LABELS
    return ", ".join(names[:_LABELS]) + (f", … {more} more" if more > 0 else "")


def diff(
    first: Annotated[str, typer.Argument(metavar="NAME:VERSION", help="Version to compare with.")],
    second: Annotated[str, typer.Argument(metavar="NAME:VERSION", help="Version to judge.")],
    store: StorePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare two versions: settings, labels, metrics and answers."""
    found = compare_versions(foveal.open_store(store), first, second)
    if as_json:
        write_json(found.to_json())
        return
    write(found.table)
    for line in found.sentences:
        write(wrapped(line))


def _row(version: StoredVersion, problem: str | None) -> tuple[str, ...]:
    record = version.record
    aliases = ", ".join(version.aliases)
    if problem is not None:
        return str(version), aliases, "damaged", "", ""
    if record is None:
        return str(version), aliases, "", "", ""
    metric = Interval.from_json(record.metrics.get(record.primary_metric, {}))
    difference = ""
    if record.difference is not None:
        difference = Difference.from_json(record.difference).words.replace(" points", "")
    return str(version), aliases, record.pushed[:10], repr(metric), difference


def _name_json(
    state: NameState,
    versions: tuple[StoredVersion, ...],
    problems: dict[str, str | None] | None,
) -> JsonObject:
    listed = [
        _version_json(version, None if problems is None else problems[str(version)])
        for version in versions
    ]
    return {
        "name": state.name,
        "aliases": dict(state.aliases),
        "current": state.current,
        "test": None if state.test is None else state.test.to_json(),
        "history": [move.to_json() for move in state.history],
        "versions": listed,
    }


def _version_json(version: StoredVersion, problem: str | None) -> JsonObject:
    return {
        "version": version.version,
        "aliases": list(version.aliases),
        "problem": problem,
        "record": None if version.record is None else version.record.to_json(),
    }


def _show_name(state: NameState) -> None:
    aliases = ", ".join(f"{alias} = {number}" for alias, number in state.aliases.items())
    lines = [
        ("name", state.name),
        ("versions", ", ".join(map(str, state.versions))),
        ("aliases", aliases or "none"),
    ]
    if state.test is not None:
        lines.append(("test set", f"{state.test.pictures} pictures of {state.test.data}"))
    _write_lines(lines)
    if state.history:
        write("")
        rows = [
            (
                move.when[:16].replace("T", " "),
                move.who,
                move.alias,
                "" if move.before is None else str(move.before),
                str(move.version),
                move.action + (", forced" if move.forced else ""),
            )
            for move in reversed(state.history)
        ]
        write(table(("when (UTC)", "who", "alias", "from", "to", "how"), rows))


def _show_version(version: StoredVersion, more: list[tuple[str, str]]) -> None:
    lines = [("model", str(version)), ("aliases", ", ".join(version.aliases) or "none")]
    if (record := version.record) is not None:
        size = sum(file["bytes"] for file in record.files.values())
        lines += [
            ("task", record.task),
            *more,
            ("published", f"{record.pushed} by {record.who}, foveal {record.pushed_by}"),
            ("trained", f"{record.created}, foveal {record.trained_by}"),
            ("size", f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"),
            ("bundle", record.bundle),
            ("data", _data_words(record.data)),
            ("recipe", record.recipe_digest[:12]),
            ("note", record.note),
        ]
    _write_lines([line for line in lines if line[1]])


def _show_metrics(store: Store, version: StoredVersion, record: Record) -> None:
    write("")
    parent = f"to {version.name}:{record.parent}, points"
    differences = record.differences
    rows = [
        (name, value, interval, _points(differences.get(name)))
        for name, value, interval in metric_rows(record.metrics)
    ]
    head = ("validation", "value", "95 % interval", parent)
    if record.parent is None:
        write(table(head[:3], [row[:3] for row in rows]))
    else:
        write(table(head, rows))
        if record.difference is not None:
            difference = Difference.from_json(record.difference)
            if difference.is_paired:
                write(wrapped(f"picture by picture: {difference.sentence}"))
    test = store.state(version.name).test
    known = None if test is None else kept_result(store.files, version.name, version.version, test)
    if known is not None:
        write("")
        write(table(("pinned test set", "value", "95 % interval"), metric_rows(known.metrics)))


def _data_words(data: JsonObject) -> str:
    fingerprint = str(data.get("fingerprint", ""))[:12]
    return f"{data.get('samples', '?')} pictures {fingerprint}".strip()


def _points(values: Mapping[str, float | None] | None) -> str:
    if values is None:
        return "-"
    return Difference("", Interval.from_json(values)).words.replace(" points", "")


def _write_lines(lines: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        write(f"{name:<{width}}  {value}")
