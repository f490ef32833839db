"""Measure a bundle on labelled data, write the report, compare runs. Knows no task; no torch."""

from foveal.evaluate.compare import Comparison, compare
from foveal.evaluate.evaluate import Evaluation, evaluate_bundle
from foveal.evaluate.measure import MeasureOptions

__all__ = ["Comparison", "Evaluation", "MeasureOptions", "compare", "evaluate_bundle"]
