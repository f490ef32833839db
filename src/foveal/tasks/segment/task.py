"""Semantic segmentation: one label per pixel, for pictures of any size.

A picture is answered tile by tile: the network returns logits for a tile, the logits of tiles are
joined to bands of rows, and a collector assembles the mask from the bands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.source import TargetKind
from foveal.errors import RecipeError, TargetError
from foveal.tasks.base import Baseline, MetricWords, OutputBatch, ReportSection, Rows, TiledTask
from foveal.tasks.segment import analysis, calibrate
from foveal.tasks.segment.collecting import CORES, MaskCollector
from foveal.tasks.segment.counting import count_values
from foveal.tasks.segment.instances import find_instances
from foveal.tasks.segment.matching import object_counts
from foveal.tasks.segment.options import (
    SegmentOptions,
    counted_labels,
    ordered,
)
from foveal.tasks.segment.prediction import Maps, Segmentation
from foveal.tasks.segment.voting import vote
from foveal.types import (
    BACKGROUND,
    IGNORED,
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

Target: TypeAlias = Mask

__all__ = ["TASK", "SegmentOptions", "SegmentTask", "Segmentation"]


@final
@dataclass(frozen=True)
class SegmentTask(TiledTask[Target, Segmentation]):
    """The segment task, bound to its labels."""

    name: ClassVar[str] = "segment"
    options_type: ClassVar[type[SegmentOptions]] = SegmentOptions
    primary_metric: ClassVar[str] = "dice"
    decoding: ClassVar[str] = (
        "Join the logits of the tiles with Gaussian weights, and scale them to the size of the "
        "picture. The label of a pixel is that of its largest logits / calibration.temperature + "
        "calibration.offsets, the first of equal ones, without offsets where these are empty; then "
        "patches and holes smaller than calibration.smallest and calibration.holes are filled. The "
        "confidence is the mean over the pixels of the softmax of logits / "
        "calibration.temperature at the pixel's label before patches and holes are filled. "
        "With cores, each patch of pixels with cores above 0 within one label, of at least "
        "calibration.cores pixels, is an object, and "
        "grows through the pixels of its label, all at the same pace; a patch of a label without "
        "such pixels is one object. "
        "An answer is unsure when its confidence is below "
        "calibration.unsure_below or unfamiliarity, where the network gives it, is above 1 for "
        "more than a quarter of the tiles."
    )
    metric_words: ClassVar[Mapping[str, MetricWords]] = {
        "dice": MetricWords("Dice", "overlap of answer and truth, mean over pictures"),
        "iou": MetricWords("IoU", "intersection over union, mean over pictures"),
        "precision": MetricWords(
            "Precision", "share of the predicted pixels that are right (mean over classes)"
        ),
        "recall": MetricWords(
            "Recall", "share of the true pixels that were predicted (mean over classes)"
        ),
        "f1": MetricWords(
            "Pixel F1", "harmonic mean of precision and recall of pixels, mean over pictures"
        ),
        "pixel_accuracy": MetricWords(
            "Pixel accuracy", "pixels answered right, mean over pictures"
        ),
        "boundary_f1": MetricWords(
            "Boundary F1",
            "edges of answer and truth that lie close together (task_options.boundary_px)",
        ),
        "dice_global": MetricWords("Dice, global", "over the pixels of all pictures together"),
        "iou_global": MetricWords("IoU, global", "over the pixels of all pictures together"),
        "precision_global": MetricWords(
            "Precision, global", "over the pixels of all pictures together"
        ),
        "recall_global": MetricWords("Recall, global", "over the pixels of all pictures together"),
        "f1_global": MetricWords("Pixel F1, global", "over the pixels of all pictures together"),
        "pixel_accuracy_global": MetricWords(
            "Pixel accuracy, global", "of the pixels of all pictures together"
        ),
        "pq": MetricWords("PQ", "panoptic quality of objects, SQ times RQ, mean over pictures"),
        "sq": MetricWords("SQ", "mean IoU of the objects that match (IoU over a half)"),
        "rq": MetricWords("RQ", "F1 of objects that match, mean over pictures"),
        "aji": MetricWords("AJI", "aggregated Jaccard index of objects, mean over pictures"),
        "pq_global": MetricWords("PQ, global", "over the objects of all pictures together"),
        "sq_global": MetricWords("SQ, global", "over the objects of all pictures together"),
        "rq_global": MetricWords("RQ, global", "over the objects of all pictures together"),
        "aji_global": MetricWords("AJI, global", "over the objects of all pictures together"),
    }
    right_when: ClassVar[str] = (
        f"a Dice of at least {analysis.RIGHT_DICE:.2f}, with at least "
        f"{100 * analysis.RIGHT_RECALL:.0f} % of every label found that covers a hundredth of the "
        "picture"
    )
    target_kind: ClassVar[TargetKind] = "mask"

    options: SegmentOptions

    def __post_init__(self) -> None:
        """Check the number of labels.

        Raises:
            RecipeError: For too many labels.
        """
        if len(self.labels) > IGNORED:
            raise RecipeError(
                f"A mask can have at most {IGNORED} labels. Received: {len(self.labels)}.",
                hint="merge classes in the masks",
            )

    @classmethod
    def has_objects(cls, options: Mapping[str, Any]) -> bool:
        """Return whether `instances` is `objects`."""
        return options.get("instances") == "objects"

    @classmethod
    def fit_labels(cls, raws: Iterable[RawTarget]) -> Labels:
        """Return the classes, background first, `class_2` before `class_10`."""
        return Labels(ordered(name for raw in raws for name in raw))

    @classmethod
    def choose_options(cls, raws: Iterable[RawTarget]) -> tuple[JsonObject, dict[str, str]]:
        """Choose nothing: names of classes say nothing of decoders or boundaries."""
        return {}, {}

    def parse_target(self, raw: RawTarget, mask: Mask | None = None) -> Target:
        """Return the mask with positions in the labels instead of positions in `raw`.

        Raises:
            TargetError: If there is no mask, a class occurs that is not a label, or a value that
                is no class.
        """
        if mask is None:
            raise TargetError("Expected a mask and the names of its classes.")
        table = np.arange(IGNORED + 1, dtype=np.uint8)
        is_same = True
        for value in np.flatnonzero(count_values(mask)).tolist():
            if value == IGNORED:
                continue
            if value >= len(raw):
                raise TargetError(
                    f"The mask contains the value {value}. Expected positions of {len(raw)} "
                    f"classes, or {IGNORED}."
                )
            index = self.labels.position(raw[value])
            table[value] = index
            is_same &= index == value
        return mask if is_same else table[mask]

    @property
    def counted(self) -> tuple[int, ...]:
        """Return the positions of the labels that count in means over labels."""
        return counted_labels(self.labels.names, with_background=self.options.count_background)

    @property
    def objects(self) -> tuple[int, ...]:
        """Return the positions of the labels whose objects are told apart."""
        if self.options.instances == "none":
            return ()
        return tuple(i for i, name in enumerate(self.labels.names) if name != BACKGROUND)

    @property
    def epoch_metric(self) -> str:
        """PQ where objects are told apart: the Dice is at its best long before they are."""
        return "pq" if self.objects else self.primary_metric

    @property
    def core_outputs(self) -> tuple[str, ...]:
        """Return the names of what a mask is made from."""
        return ("logits", CORES) if self.objects else ("logits",)

    def output_specs(self) -> tuple[TensorSpec, ...]:
        """Return the logits, and the log odds of cores where objects are told apart."""
        logits = TensorSpec("logits", "float32", (None, len(self.labels), None, None))
        cores = TensorSpec(CORES, "float32", (None, 1, None, None))
        return (logits, cores) if self.objects else (logits,)

    def decode(
        self, outputs: Outputs, frames: Sequence[Frame], calibration: Calibration
    ) -> list[Segmentation]:
        """Turn logits, (N, C, h, w), into one answer each, of the map's own size.

        For single tiles, as proofs and validation take them: the answers hold probabilities.
        Whole pictures go through `collect`.
        """
        answers = []
        for i in range(len(frames)):
            maps = {name: outputs[name][i] for name in self.core_outputs}
            size = (int(maps["logits"].shape[1]), int(maps["logits"].shape[2]))
            collector = self._collector(size, calibration, np.float32)
            collector.add(0, maps)
            answers.append(collector.finish())
        return answers

    def collect(
        self, frame: Frame, calibration: Calibration, *, explain: bool = False
    ) -> MaskCollector:
        """Return what takes the bands of one picture; with `explain` it keeps probabilities."""
        return self._collector(frame.original, calibration, np.float16 if explain else None)

    def _collector(
        self,
        size: tuple[int, int],
        calibration: Calibration,
        maps: type[np.float16] | type[np.float32] | None,
    ) -> MaskCollector:
        return MaskCollector(size, self.labels.names, calibration, maps=maps, objects=self.objects)

    def measure(self, prediction: Segmentation, target: Target) -> NDArray[np.float64]:
        """Return one row of sums over pixels; its layout is `analysis.ROW_LAYOUT`.

        Raises:
            TargetError: If the mask is not of the picture's size.
        """
        if target.shape != prediction.size:
            raise TargetError(
                f"The mask has {target.shape[0]} x {target.shape[1]} pixels. Expected the size of "
                f"the picture, {prediction.size[0]} x {prediction.size[1]}."
            )
        objects, found, numbers = None, prediction.instances, prediction.numbers
        if self.objects and found is not None and numbers is not None:
            objects = object_counts(found, numbers, target, len(self.labels), self.objects)
        return analysis.row(
            prediction.known_mask(),
            target,
            prediction.confidence,
            objects,
            classes=len(self.labels),
            boundary_px=self.options.boundary_px,
        )

    def summarise(self, rows: Rows) -> dict[str, float]:
        """Return dice, iou, boundary_f1, … over pictures and `_global`; see `analysis`."""
        return analysis.summarise(rows, len(self.labels), self.counted)

    def is_correct(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which pictures are right as `right_when` says; see `analysis.is_right`."""
        counts = analysis.take_apart(rows, len(self.labels))
        return analysis.is_right(counts.confusion, self.counted)

    def fit_calibration(
        self, batches: Iterable[OutputBatch], targets: Sequence[Target]
    ) -> Calibration:
        """Fit the temperature, the offsets of the labels, the areas to clear and those of cores."""
        return calibrate.fit_calibration(
            batches,
            targets,
            len(self.labels),
            self.counted,
            objects=self.objects,
            postprocess=self.options.postprocess,
        )

    def baseline(self, raws: Sequence[RawTarget], rows: Rows) -> Baseline:
        """Return the label that has the best mean Dice when it is answered everywhere."""
        label, constant = analysis.baseline(rows, len(self.labels), self.counted)
        return Baseline(self.labels.names[label], constant)

    def json_schema(self) -> JsonObject:
        """Return the schema of the labels' shares, and of the mask's size."""
        share = {"type": "number", "minimum": 0, "maximum": 1}
        pixels = {"type": "integer", "minimum": 0}
        found = {"name": {"enum": list(self.labels.names)}, "share": share, "pixels": pixels}
        classes = {
            "type": "object",
            "required": list(found),
            "properties": found,
            "additionalProperties": False,
        }
        properties: JsonObject = {
            "classes": {"type": "array", "items": classes},
            "confidence": share,
            "unsure": {"type": "boolean"},
            **({"instances": self._instances_schema()} if self.objects else {}),
            "size": {
                "description": "Height and width of the mask: those of the upright picture",
                "type": "array",
                "items": pixels,
                "minItems": 2,
                "maxItems": 2,
            },
        }
        return {"type": "object", "required": list(properties), "properties": properties}

    def _instances_schema(self) -> JsonObject:
        count = {"type": "integer", "minimum": 0}
        properties: JsonObject = {
            "label": {"enum": [self.labels.names[i] for i in self.objects]},
            "area": {"description": "In pixels", "type": "integer", "minimum": 1},
            "box": {
                "description": "x0, y0, x1, y1 in pixels, the end open",
                "type": "array",
                "items": count,
                "minItems": 4,
                "maxItems": 4,
            },
            "score": {
                "description": "Mean probability of the label over the object's pixels",
                "type": "number",
                "minimum": 0,
                "maximum": 1,
            },
        }
        item = {
            "type": "object",
            "required": list(properties),
            "properties": properties,
            "additionalProperties": False,
        }
        return {
            "description": "The objects; number i + 1 in the map of instances is the i-th of them",
            "type": "array",
            "items": item,
        }

    def agreement(self, first: Segmentation, second: Segmentation) -> tuple[float, float]:
        """Return the share of equal pixels, and the largest difference of a probability.

        Of answers without maps the difference of the confidences is compared instead.
        """
        if first.size != second.size:
            return 0.0, math.inf
        one, other = first.known_mask(), second.known_mask()
        is_same = one == other
        share = np.count_nonzero(is_same) / max(1, one.size)
        if first.probabilities is None or second.probabilities is None:
            return share, abs(first.confidence - second.confidence)
        difference = _difference(first.probabilities, second.probabilities)
        if first.instances is None or second.instances is None:
            return share, difference
        cores, others = first.instances.cores, second.instances.cores
        if cores is None or others is None:
            return share, difference
        share = np.count_nonzero(is_same & ((cores > 0.5) == (others > 0.5))) / max(1, one.size)
        return share, max(difference, _difference(cores, others))

    def vote(self, predictions: Sequence[Segmentation]) -> Segmentation:
        """Take the mean of the probabilities, or for each pixel what most masks say."""
        return vote(predictions, self.objects, self.options.core_px)

    def draw_target(self, picture: Picture, target: Target) -> Image:
        """Return the picture under the colours of the true mask, or of its objects."""
        from foveal.tasks.segment.draw import draw_mask, draw_objects

        if self.objects:
            none = np.zeros(target.shape, np.bool_)
            _, numbers = find_instances(target, none, none.view(np.uint8), self.objects)
            return draw_objects(picture, numbers)
        return draw_mask(picture, target, self.labels.names)

    def draw_beside(
        self, picture: Picture, prediction: Segmentation, target: Target
    ) -> tuple[tuple[str, Image], ...]:
        """Return the truth, the answer, and what of it is right, false and missed."""
        from foveal.tasks.segment.draw import ERRORS_LEGEND, draw_errors

        errors = draw_errors(picture, prediction.known_mask(), target, self.labels.names)
        return (
            ("truth", self.draw_target(picture, target)),
            ("answer", prediction.draw(picture)),
            (ERRORS_LEGEND, errors),
        )

    def analyse(
        self, predictions: Sequence[Segmentation], raws: Sequence[RawTarget], rows: Rows
    ) -> JsonObject:
        """Return tables by class, the confusion, Dice by picture and what empty masks got."""
        from foveal.tasks.segment.details import analyse

        return analyse(rows, self.labels.names, self.counted)

    def report_sections(self, details: JsonObject) -> list[ReportSection]:
        """Return the task's sections of the report."""
        from foveal.tasks.segment import report

        return report.report_sections(details)


def _difference(first: Maps, second: Maps) -> float:
    """Return the largest difference of two maps of probabilities."""
    return float(np.abs(first.astype(np.float32) - second).max(initial=0.0))


TASK = SegmentTask
