"""Reliability of the confidence, coverage, and the `unsure` limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.render.charts import Axis, Series, curve_chart
from foveal.tasks.base import ReportSection
from foveal.types import Calibration, JsonObject

_CURVE_POINTS = 200
# Accuracy on fewer answers jumps by more than it says.
_CURVE_START = 10


def certainty(
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
    unsure: NDArray[np.bool_],
    calibration: Calibration,
) -> JsonObject:
    """Return what `metrics.json` says about certainty.

    Args:
        confidence: (N,) in [0, 1].
        correct: (N,) whether the answer was right.
        unsure: (N,) whether the model said that it is unsure.
        calibration: The bundle's.
    """
    bins = metrics.reliability(confidence, correct)
    curve = metrics.coverage_curve(confidence, correct)
    first = int(np.searchsorted(curve.kept, min(_CURVE_START, len(confidence))))
    keep = np.unique(np.linspace(first, len(curve.kept) - 1, _CURVE_POINTS).astype(int))
    kept_right, kept = int(correct[~unsure].sum()), int((~unsure).sum())
    low, high = metrics.wilson(kept_right, kept)
    return {
        "unsure_below": calibration.unsure_below,
        "shown_accuracy": calibration.shown_accuracy,
        "not_usable": calibration.not_usable,
        "unsure": int(unsure.sum()),
        "coverage": kept / len(confidence),
        "accuracy_when_sure": {"value": kept_right / kept, "low": low, "high": high}
        if kept
        else {"value": None, "low": None, "high": None},
        "reliability": [
            {
                "low": float(bins.edges[i]),
                "high": float(bins.edges[i + 1]),
                "count": int(count),
                "confidence": float(bins.confidence[i]) if count else None,
                "accuracy": float(bins.accuracy[i]) if count else None,
            }
            for i, count in enumerate(bins.counts)
        ],
        "coverage_curve": [
            {
                "threshold": round(float(curve.threshold[i]), 6),
                "coverage": round(float(curve.coverage[i]), 6),
                "accuracy": round(float(curve.accuracy[i]), 6),
            }
            for i in keep
        ],
    }


def certainty_section(values: JsonObject) -> ReportSection:
    """Return the section with the reliability plot and the coverage curve."""
    bins = [b for b in values["reliability"] if b["count"]]
    total = sum(b["count"] for b in bins)
    width = values["reliability"][0]["high"] - values["reliability"][0]["low"]
    reliability = curve_chart(
        [
            Series(
                "right answers",
                [((b["low"] + b["high"]) / 2, b["accuracy"]) for b in bins],
                "bars",
                width,
            ),
            Series(
                "share of answers",
                [((b["low"] + b["high"]) / 2, b["count"] / total) for b in bins],
                "points",
            ),
            Series("calibrated", [(0.0, 0.0), (1.0, 1.0)], "guide"),
        ],
        Axis("confidence"),
        Axis("share"),
    )
    points = values["coverage_curve"]
    lowest = min(p["accuracy"] for p in points)
    floor = max(0.0, np.floor(20 * (lowest - 0.02)) / 20)
    operating = []
    if values["accuracy_when_sure"]["value"] is not None:
        operating = [(values["coverage"], values["accuracy_when_sure"]["value"])]
    coverage = curve_chart(
        [
            Series(
                "accuracy of the remaining answers",
                [(p["coverage"], p["accuracy"]) for p in points],
            ),
            Series("at the limit of this model", operating, "points"),
        ],
        Axis("share of answers that are not unsure"),
        Axis("accuracy", low=float(floor)),
    )
    return ReportSection(
        title="Confidence",
        note="Reliability: where the bars reach the dashed line, 90 % sure means right nine times "
        "in ten; shorter bars are overconfidence. Coverage: how accuracy increases when the least "
        "confident answers are left out.",
        figures=(("Reliability", reliability), ("Coverage against accuracy", coverage)),
    )
