"""`report.html`: one self-contained page that says how good a bundle is and where it fails."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import final

import jinja2
from markupsafe import Markup, escape

from foveal.bundle.promise import baseline_words, folds_words, promise
from foveal.evaluate.certainty import certainty_section
from foveal.evaluate.history import training_section
from foveal.evaluate.results import Results
from foveal.metrics import Interval
from foveal.tasks.base import MetricWords, ReportSection
from foveal.types import JsonObject
from foveal.words import percent as plain_percent

PNG_START = b"\x89PNG"
_COLOR = re.compile(r"(#[0-9a-f]{6}) (\w+)")
_WHERE = {
    None: "evaluated on ",
    "train": "evaluated on the training part of ",
    "val": "evaluated on the validation part of ",
    "test": "evaluated on the test part of ",
    "folds": "evaluated by cross-validation on ",
}
_SEVERITY = {"error": "Error", "warning": "Warning", "info": "Note"}


@final
@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric as the report shows it; positions are shares of the scale drawn beside it."""

    title: str
    meaning: str
    value: str
    interval: str
    start: float
    end: float
    mark: float
    scale_low: str
    scale_high: str
    baseline: str
    baseline_mark: float | None


def render_report(
    evaluation: Results, *, results: Path | None, more: Sequence[ReportSection] = ()
) -> str:
    """Return the report as one HTML document.

    Args:
        evaluation: What to show.
        results: A run's `results.csv`, or None.
        more: Sections that come first.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    environment.filters["data_uri"] = data_uri
    environment.filters["svg"] = Markup
    environment.filters["marked"] = marked
    environment.filters["plain"] = partial(_COLOR.sub, r"\2")
    folder = files("foveal.evaluate") / "templates"
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    task = evaluation.task
    headline = evaluation.metrics[task.primary_metric]
    training = training_section(results) if results is not None else None
    return template.render(
        evaluation=evaluation,
        primary=task.primary_metric,
        manifest=evaluation.manifest,
        style=Markup((files("foveal.render") / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
        headline=headline,
        headline_title=task.metric_words[task.primary_metric].title,
        facts=_facts(evaluation),
        metric_rows=[
            _metric_row(
                task.metric_words[name], value, evaluation.baseline.metrics.get(name, math.nan)
            )
            for name, value in evaluation.metrics.items()
        ],
        severity=_SEVERITY,
        where=_WHERE[evaluation.split],
        sections=[
            *more,
            *task.report_sections(evaluation.details),
            certainty_section(evaluation.certainty),
            *_groups(evaluation),
            *([training] if training else []),
        ],
        model=_model_facts(evaluation),
        mistakes=evaluation.samples - int(evaluation.correct.sum()),
        tally=_tally(evaluation),
        baseline=baseline_words(evaluation.baseline.to_json()),
        anchor=_anchor,
        numeric=_numeric_columns,
        highlights=evaluation.details.get("highlights", []),
        b_png=PNG_START,
    )


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in percent that is not torn apart at the end of a line."""
    return plain_percent(value, digits).replace(" ", "\u00a0")


def marked(words: str) -> Markup:
    """Return words as HTML, with a mark of its colour for each `#rrggbb` before a word."""
    text = _COLOR.sub(
        r'<span class="mark"><i style="background:\1"></i>\2</span>', str(escape(words))
    )
    return Markup(text)  # noqa: S704 - escaped above


def data_uri(image: bytes) -> str:
    """Return an image file as a `data:` URI."""
    kind = "png" if image.startswith(PNG_START) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def _tally(evaluation: Results) -> str:
    """Return how many answers are right or wrong, in one line."""
    count, right = evaluation.samples, int(evaluation.correct.sum())
    pictures = f"{count:,} picture{'' if count == 1 else 's'}"
    if evaluation.degree is None:
        wrong = count - right
        return f"{wrong:,} mistake{'' if wrong == 1 else 's'} in {pictures}"
    title = evaluation.task.metric_words[evaluation.task.primary_metric].title
    return (
        f"{title} of single pictures: {percent(float(evaluation.degree.min()))} to "
        f"{percent(float(evaluation.degree.max()))}. {right:,} of {pictures} count as right: "
        f"{evaluation.task.right_when}"
    )


def _facts(evaluation: Results) -> list[tuple[str, str, str]]:
    """Return (title, value, remark) of the tiles beside the headline."""
    certainty = evaluation.certainty
    sure = certainty["accuracy_when_sure"]
    facts = [
        (
            "Pictures",
            f"{evaluation.samples:,}",
            f"{len(evaluation.failures)} could not be evaluated" if evaluation.failures else "",
        ),
        (
            "Says “unsure”",
            percent(1 - certainty["coverage"]),
            "not usable yet"
            if certainty["not_usable"]
            else f"below a confidence of {certainty['unsure_below']:.3f}",
        ),
        (
            "Accuracy when not unsure",
            percent(sure["value"]),
            "" if sure["low"] is None else f"{percent(sure['low'])} to {percent(sure['high'])}",
        ),
    ]
    if evaluation.latency is not None:
        facts.append(
            (
                "One picture",
                f"{evaluation.latency.p50_ms:.1f} ms",
                f"95 % within {evaluation.latency.p95_ms:.1f} ms, "
                f"decoding {evaluation.latency.decode_p50_ms:.1f} ms",
            )
        )
    facts.append(("Model", _size(evaluation.size_bytes), evaluation.manifest.backbone))
    return facts


def _metric_row(words: MetricWords, metric: Interval, baseline: float) -> MetricRow:
    title, meaning = words
    if not math.isfinite(metric.value):
        return MetricRow(title, meaning, "–", "not defined here", 0, 0, 0, "", "", "", None)
    least, most = metric.low, metric.high
    if math.isfinite(baseline):
        least, most = min(least, baseline), max(most, baseline)
    if most <= 0.2:
        low, high = 0.0, max(0.05, math.ceil(most * 20) / 20)
    elif least >= 0.5:
        low, high = math.floor(least * 10 - 0.2) / 10, 1.0
    else:
        low, high = 0.0, 1.0

    def place(value: float) -> float:
        return 100 * (value - low) / (high - low)

    return MetricRow(
        title=title,
        meaning=meaning,
        value=percent(metric.value),
        interval=f"{percent(metric.low)} to {percent(metric.high)}"
        if math.isfinite(metric.low)
        else "",
        start=place(metric.low),
        end=place(metric.high),
        mark=place(metric.value),
        scale_low=percent(low, 0),
        scale_high=percent(high, 0),
        baseline=percent(baseline) if math.isfinite(baseline) else "",
        baseline_mark=place(baseline) if math.isfinite(baseline) else None,
    )


def _groups(evaluation: Results) -> list[ReportSection]:
    if not evaluation.groups:
        return []
    primary = evaluation.task.primary_metric
    rows = tuple(
        (
            row["group"],
            str(row["samples"]),
            percent(row[primary]),
            f"{row['correct']} of {row['samples']}",
            f"{percent(row['low'])} – {percent(row['high'])}",
        )
        for row in evaluation.groups
    )
    title = evaluation.task.metric_words[primary].title
    return [
        ReportSection(
            title="Groups",
            note="The groups of the data (such as writers, books or sources), most certain "
            "weakness first.",
            tables=((("group", "pictures", title, "right", "right, 95 % interval"), rows),),
        )
    ]


def _model_facts(evaluation: Results) -> list[tuple[str, str]]:
    manifest, parity = evaluation.manifest, evaluation.manifest.parity
    calibration = manifest.calibration
    pipeline = manifest.pipeline
    facts = [
        ("Bundle", f"{manifest.name}, version {evaluation.version}, made {manifest.created[:10]}"),
        ("Task", f"{manifest.task}, {len(manifest.labels)} labels"),
        ("Backbone", manifest.backbone),
        ("Takes", f"{pipeline.height} × {pipeline.width} px, {pipeline.fit}"),
        ("Temperature", f"{calibration.temperature:.3f}"),
    ]
    if calibration.not_usable is None:
        facts.append(("Unsure below", f"{calibration.unsure_below:.3f}"))
    if words := promise(calibration, evaluation.task, folds=manifest.folds):
        facts.append(("Promise", words.replace(" %", "\u00a0%")))
    if {"samples", "label_agreement", "max_probability_difference"} <= set(parity):
        facts.append(
            (
                "Parity",
                f"the shipped network and the trained one gave the same label on "
                f"{percent(parity['label_agreement'])} of {parity['samples']} pictures; "
                f"probabilities differ by at most {parity['max_probability_difference']:.1e}",
            )
        )
    if manifest.folds is not None:
        facts.append(("Trained on", folds_words(manifest.folds, manifest.data.get("train", 0))))
    elif {"samples", "train", "val"} <= set(manifest.data):
        facts.append(("Trained on", _trained_on(manifest.data)))
    facts += [
        ("Weights", f"{entry.get('weights', entry.get('name', ''))}: {entry.get('licence', '')}")
        for entry in manifest.licences
    ]
    return facts


def _trained_on(data: JsonObject) -> str:
    return (
        f"{data['train']:,} of {data['samples']:,} pictures; "
        f"{data['val']:,} were used for validation"
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def _anchor(title: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in title.lower())


def _numeric_columns(rows: tuple[tuple[str, ...], ...]) -> list[bool]:
    """Return, for each column, whether it holds numbers: those are set flush right."""
    return [
        all(not cell or cell[0].isdigit() or cell == "–" for cell in column) and any(column)
        for column in zip(*rows, strict=True)
    ]
