"""Metrics, confidence intervals, tests and calibration on numpy arrays.

Submodules are imported on first use, because a prediction needs only two functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveal.metrics.calibration import (
        CoverageCurve,
        Reliability,
        coverage_curve,
        expected_calibration_error,
        fit_temperature,
        log_softmax,
        reliability,
        sigmoid,
        softmax,
    )
    from foveal.metrics.classification import (
        ClassScores,
        averages,
        confusion,
        count_scores,
        label_counts,
    )
    from foveal.metrics.intervals import (
        MIN_RESAMPLES,
        Interval,
        bootstrap,
        holm,
        mcnemar,
        paired_difference,
        summarise_with_intervals,
        wilson,
    )
    from foveal.metrics.limit import CONFIDENCE, Limit, choose_limit, lower_limit, pictures_needed
    from foveal.metrics.ranking import (
        PrecisionRecallCurve,
        RocCurve,
        best_f1_thresholds,
        mean_average_precision,
        precision_recall_curve,
        roc_curve,
        threshold_sweep,
    )
    from foveal.metrics.seeds import difference_over_seeds, student_t
    from foveal.metrics.segmentation import (
        OverlapScores,
        boundary_scores,
        instance_scores,
        mean_known,
        overlap_scores,
        pixel_accuracy,
    )
    from foveal.metrics.text import edit_script, misread

__all__ = [
    "CONFIDENCE",
    "MIN_RESAMPLES",
    "ClassScores",
    "CoverageCurve",
    "Interval",
    "Limit",
    "OverlapScores",
    "PrecisionRecallCurve",
    "Reliability",
    "RocCurve",
    "averages",
    "best_f1_thresholds",
    "bootstrap",
    "boundary_scores",
    "choose_limit",
    "confusion",
    "count_scores",
    "coverage_curve",
    "difference_over_seeds",
    "edit_script",
    "expected_calibration_error",
    "fit_temperature",
    "holm",
    "instance_scores",
    "label_counts",
    "log_softmax",
    "lower_limit",
    "mcnemar",
    "mean_average_precision",
    "mean_known",
    "misread",
    "overlap_scores",
    "paired_difference",
    "pictures_needed",
    "pixel_accuracy",
    "precision_recall_curve",
    "reliability",
    "roc_curve",
    "sigmoid",
    "softmax",
    "student_t",
    "summarise_with_intervals",
    "threshold_sweep",
    "wilson",
]

# The first has what predictions need.
_MODULES = (
    "calibration",
    "classification",
    "intervals",
    "limit",
    "ranking",
    "seeds",
    "segmentation",
    "text",
)


def __getattr__(name: str) -> Any:
    """Fetch a public name on first use (PEP 562)."""
    if name in __all__:
        for module in _MODULES:
            found = vars(import_module(f"foveal.metrics.{module}"))
            if name in found:
                globals()[name] = found[name]
                return found[name]
    raise AttributeError(f"foveal.metrics has no {name!r}.")
