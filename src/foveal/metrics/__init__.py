"""Metrics, intervals, tests and calibration. numpy only; knows no task, no picture and no file."""

from foveal.metrics.calibration import (
    CoverageCurve,
    Reliability,
    choose_threshold,
    coverage_curve,
    expected_calibration_error,
    fit_temperature,
    reliability,
    sigmoid,
    softmax,
)
from foveal.metrics.classification import (
    ClassScores,
    averages,
    class_scores,
    confusion,
    count_scores,
    label_counts,
)
from foveal.metrics.intervals import (
    MIN_RESAMPLES,
    Interval,
    bootstrap,
    mcnemar,
    paired_difference,
    wilson,
)
from foveal.metrics.ranking import (
    PrecisionRecallCurve,
    RocCurve,
    best_f1_thresholds,
    mean_average_precision,
    precision_recall_curve,
    roc_curve,
    threshold_sweep,
)

__all__ = [
    "MIN_RESAMPLES",
    "ClassScores",
    "CoverageCurve",
    "Interval",
    "PrecisionRecallCurve",
    "Reliability",
    "RocCurve",
    "averages",
    "best_f1_thresholds",
    "bootstrap",
    "choose_threshold",
    "class_scores",
    "confusion",
    "count_scores",
    "coverage_curve",
    "expected_calibration_error",
    "fit_temperature",
    "label_counts",
    "mcnemar",
    "mean_average_precision",
    "paired_difference",
    "precision_recall_curve",
    "reliability",
    "roc_curve",
    "sigmoid",
    "softmax",
    "threshold_sweep",
    "wilson",
]
