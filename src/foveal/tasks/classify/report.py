"""The classifier's sections of `report.html`, made from what `analysis.analyse` returned."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.render.charts import Axis, Series, bar_chart, curve_chart, matrix_chart
from foveal.tasks.base import ReportSection
from foveal.types import JsonObject
from foveal.words import percent

# A matrix of more classes cannot be read on a screen; a longer chart is not read to its end.
_MATRIX_SHOWN = 30
_BARS_SHOWN = 40
_COLUMN = 14
# Three figures fit beside each other on the page.
_THIRD = 318
_TABLE_SHOWN = 200


def report_sections(
    details: JsonObject, labels: Sequence[str], *, multi_label: bool
) -> list[ReportSection]:
    """Return the sections in the order of reading.

    Args:
        details: From `analysis.analyse`.
        labels: The class names.
        multi_label: Several classes may apply to one picture.
    """
    sections = []
    if not multi_label:
        sections.append(_confusion(details))
    if details["confused"]:
        sections.append(_confused(details))
    if "binary" in details:
        sections.append(_binary(details["binary"]))
    sections.append(_classes(details, multi_label=multi_label))
    sections.append(_balance(details))
    return sections


def _confusion(details: JsonObject) -> ReportSection:
    names, counts = details["confusion"]["labels"], details["confusion"]["counts"]
    note = "Rows are the true classes, columns the answers; what is not on the diagonal is wrong."
    everything = len(names) + details["confusion"].get("left_out", 0)
    if len(names) > _MATRIX_SHOWN:
        errors = [
            sum(counts[i]) + sum(row[i] for row in counts) - 2 * counts[i][i]
            for i in range(len(names))
        ]
        kept = sorted(sorted(range(len(names)), key=lambda i: -errors[i])[:_MATRIX_SHOWN])
        names = [names[i] for i in kept]
        counts = [[counts[i][j] for j in kept] for i in kept]
        note += (
            f" Of {everything} classes, the {_MATRIX_SHOWN} with the most mistakes are shown; "
            "their shares are of the answers shown."
        )
    return ReportSection(
        title="Confusion",
        note=note,
        figures=(
            ("Counts", matrix_chart(names, counts)),
            ("% of the true class", matrix_chart(names, counts, shares=True)),
        ),
    )


def _confused(details: JsonObject) -> ReportSection:
    rows = tuple(
        (pair["target"], pair["prediction"], str(pair["count"]), percent(pair["share"]))
        for pair in details["confused"][:15]
    )
    return ReportSection(
        title="Most confused",
        note="Pairs of true and predicted class, most frequent first.",
        tables=((("true", "answered", "times", "share of the true class"), rows),),
    )


def _binary(binary: JsonObject) -> ReportSection:
    name = binary["positive"]
    roc = curve_chart(
        [Series("", binary["roc"]), Series("", [(0.0, 0.0), (1.0, 1.0)], "guide")],
        Axis("false positive rate"),
        Axis("true positive rate"),
        width=_THIRD,
    )
    precision = curve_chart(
        [Series("", binary["precision_recall"])], Axis("recall"), Axis("precision"), width=_THIRD
    )
    sweep = curve_chart(
        [
            Series(title, [(r["threshold"], r[key]) for r in binary["sweep"] if r[key] is not None])
            for key, title in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
        ],
        Axis("threshold"),
        Axis("value"),
        width=_THIRD,
    )
    columns = ("threshold", "accuracy", "precision", "recall", "f1", "false_positive_rate")
    rows = tuple(
        (f"{row['threshold']:.2f}", *(percent(row[key]) for key in columns[1:]))
        for row in binary["sweep"][1::2]
    )
    header = ("threshold", "accuracy", "precision", "recall", "F1", "false positives")
    return ReportSection(
        title=f"Detecting {name}",
        note=f"Metrics for each threshold on the probability of {name} would give.",
        tables=((header, rows),),
        figures=(
            (f"ROC, area {_interval(binary['roc_auc'])}", roc),
            (
                f"Precision over recall, mean {_interval(binary['average_precision'])}",
                precision,
            ),
            ("Threshold sweep", sweep),
        ),
    )


def _classes(details: JsonObject, *, multi_label: bool) -> ReportSection:
    table = sorted(details["classes"], key=lambda c: (c["f1"] is None, c["f1"] or 0.0))
    header = ["class", "pictures", "precision", "recall", "F1", "recall, 95 % interval"]
    if multi_label:
        header.append("average precision")
    rows = []
    for entry in table[:_TABLE_SHOWN]:
        low, high = entry["recall_interval"]
        row = [
            entry["label"],
            str(entry["support"]),
            percent(entry["precision"]),
            percent(entry["recall"]),
            percent(entry["f1"]),
            f"{percent(low)} – {percent(high)}" if entry["support"] else "–",
        ]
        if multi_label:
            row.append(percent(entry["average_precision"]))
        rows.append(tuple(row))
    averages = details["averages"]
    for kind in ("macro", "weighted"):
        means = [percent(averages[f"{kind}_{name}"]) for name in ("precision", "recall", "f1")]
        rows.append((f"{kind} average", "", *means, *[""] * (len(header) - 5)))
    note = "Lowest F1 first."
    if len(table) > _TABLE_SHOWN:
        note += f" {_TABLE_SHOWN} of {len(table)} classes; metrics.json has them all."
    if multi_label and details["mean_average_precision"]["value"] is not None:
        note += f" Mean average precision {_interval(details['mean_average_precision'])}."
    if "top5_accuracy" in details:
        top5 = _interval(details["top5_accuracy"])
        note += f" The true class is among the five likeliest for {top5} of the pictures."
    return ReportSection(title="Classes", note=note, tables=((tuple(header), tuple(rows)),))


def _balance(details: JsonObject) -> ReportSection:
    table = sorted(details["classes"], key=lambda c: -c["support"])
    shown = table if len(table) <= _BARS_SHOWN else table[: _BARS_SHOWN // 2]
    tail = [] if len(table) <= _BARS_SHOWN else table[-_BARS_SHOWN // 2 :]
    high = max([c["support"] for c in table], default=1) or 1
    if tail:
        parts = [("The most frequent classes", shown), ("The least frequent classes", tail)]
    else:
        parts = [
            ("… and" if i else "Pictures of each class", shown[i : i + _COLUMN])
            for i in range(0, len(shown), _COLUMN)
        ]
    figures = []
    for title, part in parts:
        rows = [(c["label"], c["support"], f"{c['support']:,}") for c in part]
        figures.append((title, bar_chart(rows, high=high)))
    return ReportSection(
        title="Class balance",
        note="Number of evaluated pictures of each class.",
        figures=tuple(figures),
    )


def _interval(metric: JsonObject) -> str:
    text = percent(metric["value"])
    if metric["low"] is None:
        return text
    return f"{text} ({percent(metric['low'])} to {percent(metric['high'])})"
