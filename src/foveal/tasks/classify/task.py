"""Image classification: one label per picture, or any number (multi-label).

The network returns an evidence map with one score per class and position; the logits are its mean
over the positions, so the map explains the answer exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.errors import TargetError
from foveal.settings import About
from foveal.tasks.base import (
    ECE_WORDS,
    Baseline,
    MetricWords,
    OutputBatch,
    ReportSection,
    Rows,
    Task,
)
from foveal.tasks.classify import analysis
from foveal.tasks.classify.prediction import Classification
from foveal.tasks.prediction import joint_doubts
from foveal.types import (
    Calibration,
    Frame,
    Image,
    JsonObject,
    Labels,
    Mask,
    Outputs,
    Picture,
    RawTarget,
    TensorSpec,
)

Target: TypeAlias = NDArray[np.float32]
"""(C,) float32: 1 where the class applies."""


@final
@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """Options of the task."""

    multi_label: Annotated[
        bool, About("Any number of classes may apply to one picture (sigmoid, not softmax).")
    ] = False


@final
@dataclass(frozen=True)
class ClassifyTask(Task[Target, Classification]):
    """The classify task, bound to its labels."""

    name: ClassVar[str] = "classify"
    options_type: ClassVar[type[ClassifyOptions]] = ClassifyOptions
    primary_metric: ClassVar[str] = "accuracy"
    decoding: ClassVar[str] = (
        "Divide logits by calibration.temperature. Unless task_options.multi_label, take the "
        "softmax: the answer is the label of the largest probability, which is the confidence. "
        "With multi_label, take the sigmoid: every label applies whose probability is at least "
        "its value in calibration.thresholds, and the confidence is the smallest probability of a "
        "decision. An answer is unsure when its confidence is below calibration.unsure_below or "
        "unfamiliarity, where the network gives it, is above 1. evidence, whose mean over its last "
        "two axes is logits, shows where in the input each label was seen."
    )
    metric_words: ClassVar[Mapping[str, MetricWords]] = {
        "accuracy": MetricWords("Accuracy", "pictures answered completely right"),
        "macro_f1": MetricWords("Macro F1", "mean over the classes, unweighted"),
        "precision": MetricWords(
            "Precision", "share of the predictions that are right (mean over classes)"
        ),
        "recall": MetricWords(
            "Recall", "share of the true labels that were predicted (mean over classes)"
        ),
        "weighted_f1": MetricWords("Weighted F1", "mean over the classes, weighted by frequency"),
        "ece": ECE_WORDS,
        "micro_f1": MetricWords("Micro F1", "over all labels of all pictures together"),
        "label_accuracy": MetricWords(
            "Label accuracy", "right decisions among all labels of all pictures"
        ),
    }

    options: ClassifyOptions

    @classmethod
    def fit_labels(cls, raws: Iterable[RawTarget]) -> Labels:
        """Return the class names in sorted order."""
        return Labels.of(name for raw in raws for name in raw)

    @classmethod
    def choose_options(cls, raws: Iterable[RawTarget]) -> tuple[JsonObject, dict[str, str]]:
        """Choose multi-label when any sample has several labels or none."""
        counts = Counter(len(raw) for raw in raws)
        multi = any(n != 1 for n in counts)
        several = sum(count for n, count in counts.items() if n > 1)
        why = f"{several} pictures have several labels" if multi else "every picture has one label"
        return {"multi_label": multi}, {"task_options.multi_label": why}

    def parse_target(self, raw: RawTarget, mask: Mask | None = None) -> Target:
        """Return the (C,) vector of a sample's class names.

        Raises:
            TargetError: For a name that is not a label, or not exactly one (single label).
        """
        target = self._vector(raw)
        if not self.options.multi_label and int(target.sum()) != 1:
            raise TargetError(f"Expected exactly one label. Received: {list(raw)}.")
        return target

    def _vector(self, names: Iterable[str]) -> Target:
        vector = np.zeros(len(self.labels), np.float32)
        for name in names:
            vector[self.labels.position(name)] = 1.0
        return vector

    @property
    def core_outputs(self) -> tuple[str, ...]:
        """Return the logits' name: the evidence map only explains."""
        return ("logits",)

    def output_specs(self) -> tuple[TensorSpec, ...]:
        """Return the logits and the evidence map."""
        classes = len(self.labels)
        return (
            TensorSpec("logits", "float32", (None, classes)),
            TensorSpec("evidence", "float32", (None, classes, None, None)),
        )

    def decode(
        self, outputs: Outputs, frames: Sequence[Frame], calibration: Calibration
    ) -> list[Classification]:
        """Turn logits, (N, C), into one answer for each picture."""
        logits = outputs["logits"].astype(np.float32) / np.float32(calibration.temperature)
        evidence = outputs.get("evidence")
        probabilities = (metrics.sigmoid if self.options.multi_label else metrics.softmax)(logits)
        return [
            self._answer(row, None if evidence is None else evidence[i], frames[i], calibration)
            for i, row in enumerate(probabilities)
        ]

    def _answer(
        self,
        probabilities: NDArray[np.float32],
        evidence: NDArray[np.float32] | None,
        frame: Frame,
        calibration: Calibration,
    ) -> Classification:
        if self.options.multi_label:
            limits = np.asarray(calibration.thresholds or [0.5] * len(self.labels), np.float32)
            chosen = probabilities >= limits
            labels = tuple(n for n, yes in zip(self.labels.names, chosen, strict=True) if yes)
            decided = np.where(chosen, probabilities, 1.0 - probabilities)
            confidence = float(decided.min())
        else:
            best = int(probabilities.argmax())
            labels = (self.labels.names[best],)
            confidence = float(probabilities[best])
        return Classification(
            confidence=confidence,
            unsure=confidence < calibration.unsure_below,
            labels=labels,
            probabilities=probabilities,
            evidence=evidence,
            frame=frame,
            classes=self.labels,
            multi_label=self.options.multi_label,
        )

    def measure(self, prediction: Classification, target: Target) -> NDArray[np.float64]:
        """Return one row; its layout is `analysis.ROW_LAYOUT`."""
        return analysis.row(
            self._vector(prediction.labels),
            target,
            prediction.confidence,
            multi_label=self.options.multi_label,
        )

    def summarise(self, rows: Rows) -> dict[str, float]:
        """Return accuracy, macro_f1, precision, recall (macro) and ece; see `analysis`."""
        return analysis.summarise(
            rows, classes=len(self.labels), multi_label=self.options.multi_label
        )

    def is_correct(self, rows: Rows) -> NDArray[np.bool_]:
        """Return whether all labels of each sample were right."""
        correct: NDArray[np.bool_] = rows[:, -1] > 0.5
        return correct

    def baseline(self, raws: Sequence[RawTarget], rows: Rows) -> Baseline:
        """Return the most frequent class, or set of classes, as the answer to every picture."""
        names = self.labels.names
        chosen, constant = analysis.baseline(
            rows, classes=len(names), multi_label=self.options.multi_label
        )
        return Baseline("|".join(names[i] for i in chosen) or "none", constant)

    def fit_calibration(
        self, batches: Iterable[OutputBatch], targets: Sequence[Target]
    ) -> Calibration:
        """Fit the temperature, then thresholds (multi-label)."""
        multi = self.options.multi_label
        logits = np.concatenate([outputs["logits"] for outputs, _ in batches]).astype(np.float64)
        truth = np.stack(targets)
        temperature = metrics.fit_temperature(logits, truth, multi_label=multi)
        thresholds: tuple[float, ...] = ()
        if multi:
            probabilities = metrics.sigmoid(logits / temperature)
            thresholds = tuple(float(t) for t in metrics.best_f1_thresholds(probabilities, truth))
        return Calibration(temperature=temperature, thresholds=thresholds)

    def json_schema(self) -> JsonObject:
        """Return the schema of a label with its scores, or of labels."""
        labels = {"enum": list(self.labels.names)}
        share = {"type": "number", "minimum": 0, "maximum": 1}
        scores = {
            "description": "Probability of each label, the most likely first",
            "type": "object",
            "properties": dict.fromkeys(self.labels.names, share),
            "required": list(self.labels.names),
            "additionalProperties": False,
        }
        properties: JsonObject = {
            "label": labels,
            "confidence": share,
            "unsure": {"type": "boolean"},
            "scores": scores,
        }
        if self.options.multi_label:
            properties["label"] = {
                "description": 'The labels joined by "|"; empty for none',
                "type": "string",
            }
            properties["labels"] = {"type": "array", "items": labels, "uniqueItems": True}
        return {"type": "object", "required": list(properties), "properties": properties}

    def agreement(self, first: Classification, second: Classification) -> tuple[float, float]:
        """Compare labels, and probabilities by their largest difference."""
        difference = np.abs(first.probabilities - second.probabilities).max()
        return first.labels == second.labels, float(difference)

    def vote(self, predictions: Sequence[Classification]) -> Classification:
        """Average the probabilities; several labels apply where half of the bundles say so."""
        first = predictions[0]
        stacked = np.stack([p.probabilities for p in predictions])
        probabilities: NDArray[np.float32] = stacked.sum(axis=0) / np.float32(len(stacked))
        if self.options.multi_label:
            counts = Counter(label for p in predictions for label in p.labels)
            labels = tuple(n for n in self.labels.names if 2 * counts[n] > len(predictions))
            confidence = float(np.mean([p.confidence for p in predictions]))
        else:
            best = int(probabilities.argmax())
            labels = (self.labels.names[best],)
            confidence = float(probabilities[best])
        return replace(
            first,
            labels=labels,
            confidence=confidence,
            **joint_doubts(predictions),
            probabilities=probabilities,
        )

    def draw_target(self, picture: Picture, target: Target) -> Image:
        """Return the picture: its classes are words."""
        return picture.pixels

    def draw_beside(
        self, picture: Picture, prediction: Classification, target: Target
    ) -> tuple[tuple[str, Image], ...]:
        """Return the picture under the evidence for the answer."""
        return (("what speaks for the answer", prediction.draw(picture)),)

    def analyse(
        self, predictions: Sequence[Classification], raws: Sequence[RawTarget], rows: Rows
    ) -> JsonObject:
        """Return confusion, per-class table, curves and calibration details."""
        targets = [self._vector(raw) for raw in raws]
        return analysis.analyse(
            predictions, targets, self.labels.names, multi_label=self.options.multi_label
        )

    def report_sections(self, details: JsonObject) -> list[ReportSection]:
        """Return the task's sections of the report."""
        # Imported late: drawing costs a tenth of the start of `foveal predict`, which needs none.
        from foveal.tasks.classify import report

        return report.report_sections(
            details, self.labels.names, multi_label=self.options.multi_label
        )


TASK = ClassifyTask
