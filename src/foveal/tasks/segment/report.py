"""The segmenter's sections of `report.html`, made from what `details.analyse` returned."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.render.charts import matrix_chart
from foveal.tasks.base import ReportSection
from foveal.tasks.segment.figures import box_chart, scatter_chart
from foveal.types import JsonObject
from foveal.words import percent

# More rows than this are not looked at one by one.
_SHOWN = 30


def report_sections(details: JsonObject) -> list[ReportSection]:
    """Return the sections in the order of reading.

    Args:
        details: From `details.analyse`.
    """
    objects = [_objects(details["objects"])] if "objects" in details else []
    return [
        _pictures(details),
        *objects,
        _classes(details["classes"]),
        _confusion(details["confusion"]),
        _empty(details["empty"]),
        _certainty(details),
    ]


def _pictures(details: JsonObject) -> ReportSection:
    rows = [("all counted labels", details["pictures"]["dice"])]
    rows += [(c["label"], c["dices"]) for c in details["classes"] if c["counted"]]
    if len(rows) == 2:
        # One label beside the background: its Dice is that of the picture.
        rows = rows[1:]
    rows = [row for row in rows if row[1]["count"]][:_SHOWN]
    note = (
        "Each dot is a picture; the box holds the middle half of them, the line in it is the "
        "median. A label that is in neither truth nor answer of a picture counts in none; one "
        "that is in only one of the two has Dice 0."
    )
    header = ("", "pictures", "least", "lower quartile", "median", "upper quartile", "largest")
    keys = ("least", "lower_quartile", "median", "upper_quartile", "largest")
    table = tuple(
        (name, str(spread["count"]), *(percent(spread[key]) for key in keys))
        for name, spread in rows
    )
    return ReportSection(
        title="Dice of single pictures",
        note=note,
        tables=((header, table),),
        figures=(("Dice by picture", box_chart(rows)),) if rows else (),
    )


def _classes(entries: Sequence[JsonObject]) -> ReportSection:
    scores = ("dice", "iou", "precision", "recall", "boundary_f1")
    ranked = sorted(entries, key=lambda e: (not e["counted"], e["dice"] is None, e["dice"] or 0))
    means = tuple(
        (e["label"], str(e["pictures"]), *(percent(e[score]) for score in scores)) for e in ranked
    )
    totals = tuple(
        (
            e["label"],
            f"{e['pixels']:,}",
            f"{e['answered_pixels']:,}",
            *(percent(e[f"{score}_global"]) for score in scores[:-1]),
        )
        for e in ranked
    )
    uncounted = ", ".join(entry["label"] for entry in entries if not entry["counted"])
    left_out = f"; {uncounted} counts in no mean over classes" if uncounted else ""
    titles = ("Dice = F1", "IoU", "precision", "recall")
    return ReportSection(
        title="Classes",
        note="Above the mean over pictures, in which a small picture counts as much as a large "
        f"one; below all pixels of all pictures together. Worst first{left_out}.",
        tables=(
            (("class", "pictures that hold it", *titles, "boundary F1"), means),
            (("class", "true pixels", "answered pixels", *titles), totals),
        ),
    )


def _objects(entries: Sequence[JsonObject]) -> ReportSection:
    scores = ("pq", "sq", "rq", "aji")
    rows = tuple(
        (
            entry["label"],
            *(f"{entry[key]:,}" for key in ("true", "answered", "matched")),
            *(percent(entry[score]) for score in scores),
            *(percent(entry[f"{score}_global"]) for score in scores),
        )
        for entry in entries
    )
    titles = ("PQ", "SQ", "RQ", "AJI")
    header = ("class", "true objects", "answered", "matched", *titles)
    return ReportSection(
        title="Objects",
        note="An answered object matches a true one if their IoU is over a half. RQ is the F1 of "
        "the matches, SQ their mean IoU, PQ the product; AJI is the share of all pixels of objects "
        "that are in the right one. First the means over pictures, then all objects together.",
        tables=(((*header, *(f"{title}, all" for title in titles)), rows),),
    )


def _confusion(confusion: JsonObject) -> ReportSection:
    names, counts = confusion["labels"], confusion["counts"]
    note = "Rows are the true classes, columns the answers, in % of the true class's pixels."
    if len(names) > _SHOWN:
        sizes = [sum(row) for row in counts]
        kept = sorted(sorted(range(len(names)), key=lambda i: -sizes[i])[:_SHOWN])
        note += f" The {_SHOWN} largest of {len(names)} classes."
        names = [names[i] for i in kept]
        counts = [[counts[i][j] for j in kept] for i in kept]
    return ReportSection(
        title="Confusion",
        note=note,
        figures=(("% of the true class's pixels", matrix_chart(names, counts, shares=True)),),
    )


def _empty(empty: JsonObject) -> ReportSection:
    there = empty["pictures"] - empty["empty"]
    rows = (
        (
            "nothing to find",
            str(empty["empty"]),
            str(empty["empty_answered_empty"]),
            str(empty["false_alarms"]),
        ),
        (
            "something to find",
            str(there),
            str(empty["overlooked"]),
            str(there - empty["overlooked"]),
        ),
    )
    return ReportSection(
        title="Empty masks",
        note="Pictures with nothing to find have no Dice if nothing is found, and Dice 0 if "
        "something is (a false alarm).",
        tables=((("truth", "pictures", "nothing found", "something found"), rows),),
    )


def _certainty(details: JsonObject) -> ReportSection:
    points = [
        (p["confidence"], p["dice"])
        for p in details["pictures"]["confidence"]
        if p["confidence"] is not None
    ]
    right = details["right_dice"]
    note = (
        "The confidence of a picture is the mean over its pixels of the answer's probability. "
        f"A picture is called right from a Dice of {percent(right)} on."
    )
    if not points:
        return ReportSection(title="Confidence and Dice", note=note)
    chart = scatter_chart(points, across="confidence", up="Dice", guide=right)
    return ReportSection(
        title="Confidence and Dice",
        note=note,
        figures=(("Confidence against Dice", chart),),
    )
