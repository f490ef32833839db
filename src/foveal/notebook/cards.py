"""Model cards: description and validation metrics."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from foveal.bundle import Bundle
from foveal.render.markup import side_by_side, table_html
from foveal.types import JsonObject
from foveal.urls import from_here
from foveal.words import percent


def model_html(bundle: Bundle, exports: Sequence[JsonObject] = ()) -> str:
    """Return the description, validation metrics and exports of a model as HTML."""
    manifest, pipeline = bundle.manifest, bundle.manifest.pipeline
    size = (
        f"{pipeline.height} px high, up to {pipeline.width} px wide"
        if pipeline.is_ragged
        else f"{pipeline.height} x {pipeline.width} px, {pipeline.fit}"
    )
    facts = (
        ("task", manifest.task),
        _labels(manifest.labels, is_alphabet=bundle.task.target_kind == "text"),
        ("backbone", manifest.backbone),
        ("input", size),
        ("version", bundle.version),
        ("bundle", str(from_here(bundle.path))),
    )
    metrics = [
        (
            name,
            _number(value.get("value")),
            f"{_number(value.get('low'))} to {_number(value.get('high'))}",
        )
        for name, value in manifest.metrics.items()
    ]
    return f"<strong>{escape(manifest.name)}</strong>" + side_by_side(
        (
            table_html(("", ""), facts),
            table_html(("validation", "value", "95 % interval"), metrics),
            *([_exports(exports)] if exports else []),
        )
    )


def _exports(exports: Sequence[JsonObject]) -> str:
    rows = []
    for export in exports:
        proof = export["proof"] or {}
        proven = (
            f"{percent(proof['label_agreement'])} of {proof['samples']} alike in {proof['runtime']}"
            if proof
            else "the bundle's own network"
        )
        rows.append((f"{export['to']}, {export['precision']}", proven, export["path"]))
    return table_html(("export", "proof", "path"), rows)


def _labels(labels: Sequence[str], *, is_alphabet: bool) -> tuple[str, str]:
    most, between = (60, "") if is_alphabet else (8, ", ")
    named = between.join(labels[:most])
    rest = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ("alphabet" if is_alphabet else "labels"), named + rest


def _number(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
