"""The interface of tasks, without torch, which all shared code is written against.

A task is one folder: `task.py` holds `TASK` (a subclass of `Task`), `training.py` holds `TRAINING`
(see `foveal.tasks.training`). Data, trainer, bundle, server and report do not refer to any task by
name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveal.settings import parse_section
from foveal.tasks.prediction import Prediction
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

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from foveal.data.source import TargetKind

    # With defaults, `Task` alone is any task.
    TargetT = TypeVar("TargetT", default=Any)
    PredictionT = TypeVar("PredictionT", bound=Prediction, default=Any)
else:
    # Python 3.11's own, which knows no defaults: typing_extensions costs 10 ms of every start.
    from typing import TypeVar

    TargetT = TypeVar("TargetT")
    PredictionT = TypeVar("PredictionT")
PredictionT_co = TypeVar("PredictionT_co", bound=Prediction, covariant=True)

Rows = NDArray[np.float64]
"""(N, K) float64: one row of counts or values per sample. Metrics are functions of the rows, so
slices and bootstrap intervals need no further code."""

OutputBatch: TypeAlias = tuple[Outputs, Sequence[Frame]]
"""What the network gave for some samples, and where they lie in the model input. Samples of one
batch have inputs of one size; those of another may differ."""


@dataclass(frozen=True, slots=True)
class ReportSection:
    """One section of `report.html`: a title, a sentence, and tables or figures.

    Attributes:
        title: Heading.
        note: One or two sentences that explain the section.
        tables: Tables, each as (header, rows) of strings.
        figures: Figures, each as (alternative text, SVG document).
    """

    title: str
    note: str = ""
    tables: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...] = ()
    figures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """The best answer that is the same for every picture.

    Attributes:
        answer: The answer, as in `Prediction.text`.
        rows: (N, K) rows of `Task.measure` for it.
    """

    answer: str
    rows: Rows


class MetricWords(NamedTuple):
    """Display texts of a metric."""

    title: str
    meaning: str
    """A few words, in lower case and without a full stop."""


ECE_WORDS = MetricWords(
    "Calibration error", "how far confidence is from accuracy; smaller is better"
)


@dataclass(frozen=True)
class Task(ABC, Generic[TargetT, PredictionT]):
    """A task bound to its labels and options. Subclasses are final frozen dataclasses.

    Attributes:
        labels: Class names, or the alphabet.
        options: Options, an instance of `options_type`.
    """

    name: ClassVar[str]
    options_type: ClassVar[type[Any]]
    """A frozen dataclass of plain values: this task's part of the recipe and of the bundle."""
    primary_metric: ClassVar[str]
    """The metric by which runs are compared; larger is better."""
    metric_words: ClassVar[Mapping[str, MetricWords]]
    """Of every metric that `summarise` may give."""
    decoding: ClassVar[str] = ""
    """How outputs become an answer, in sentences, for those who run an exported network on their
    own; see `foveal.export.description`."""
    right_when: ClassVar[str] = ""
    """What `is_correct` asks of an answer that is right to a degree, as words that follow "right
    is"; empty where an answer is right or wrong. The primary metric is then the degree."""
    target_kind: ClassVar[TargetKind] = "labels"
    """How readers take a label: as class names, joined by `|`, as one text as it stands, which
    is then the target, or as a mask."""

    labels: Labels
    options: Any

    @property
    def epoch_metric(self) -> str:
        """The metric by which the epochs of a training are compared; larger is better."""
        return self.primary_metric

    @classmethod
    def has_objects(cls, options: Mapping[str, Any]) -> bool:
        """Return whether values of masks, and outlines, are objects that readers keep apart.

        Args:
            options: Options of the task, as in `bind`.
        """
        return False

    @classmethod
    @abstractmethod
    def fit_labels(cls, raws: Iterable[RawTarget]) -> Labels:
        """Return the labels of a source from its raw targets."""

    @classmethod
    @abstractmethod
    def choose_options(cls, raws: Iterable[RawTarget]) -> tuple[JsonObject, dict[str, str]]:
        """Choose options from the raw targets, and return them with the reason for each key."""

    @abstractmethod
    def parse_target(self, raw: RawTarget, mask: Mask | None = None) -> TargetT:
        """Return the target of one sample.

        Args:
            raw: Class names or a text; for a mask, the names of its values.
            mask: If `target_kind` is `mask`: (H, W) positions in `raw`, or `IGNORED`.

        Raises:
            TargetError: If it contains something that is not a label.
        """

    @property
    @abstractmethod
    def core_outputs(self) -> tuple[str, ...]:
        """Return the names of the outputs that `decode` needs; others are for explanations only."""

    @abstractmethod
    def output_specs(self) -> tuple[TensorSpec, ...]:
        """Return the specs of the outputs of the exported network, batch axis first."""

    @abstractmethod
    def decode(
        self, outputs: Outputs, frames: Sequence[Frame], calibration: Calibration
    ) -> list[PredictionT]:
        """Convert network outputs to predictions, with results in original pixels."""

    @abstractmethod
    def measure(self, prediction: PredictionT, target: TargetT) -> NDArray[np.float64]:
        """Return the row of counts of one sample, (K,); see `Rows`."""

    @abstractmethod
    def summarise(self, rows: Rows) -> dict[str, float]:
        """Return the metrics of many rows, including `primary_metric`; NaN if undefined."""

    @abstractmethod
    def is_correct(self, rows: Rows) -> NDArray[np.bool_]:
        """Return whether the whole answer was right, for each row."""

    @abstractmethod
    def fit_calibration(
        self, batches: Iterable[OutputBatch], targets: Sequence[TargetT]
    ) -> Calibration:
        """Fit the temperature and thresholds on validation outputs.

        The `unsure` limit is chosen in the same way for all tasks, once the bundle is evaluated.

        Args:
            batches: Outputs and frames of all validation samples. They may be read from disk or
                computed during the iteration, so keep only what is needed.
            targets: Targets of all validation samples, in the order of the batches.
        """

    @abstractmethod
    def baseline(self, raws: Sequence[RawTarget], rows: Rows) -> Baseline:
        """Return the best constant answer, with its rows.

        Args:
            raws: Raw targets of the samples; at least one.
            rows: (N, K) rows of `measure` for the answers of the model.
        """

    @abstractmethod
    def json_schema(self) -> JsonObject:
        """Return the JSON schema (2020-12) of the object that `Prediction.to_json` returns."""

    @abstractmethod
    def agreement(self, first: PredictionT, second: PredictionT) -> tuple[float, float]:
        """Compare two answers to one picture.

        Returns:
            The share of the answer that is equal (0 or 1 for an answer without parts), and the
            largest difference of a probability.
        """

    @abstractmethod
    def vote(self, predictions: Sequence[PredictionT]) -> PredictionT:
        """Combine the answers of one or more bundles to one picture."""

    @abstractmethod
    def draw_target(self, picture: Picture, target: TargetT) -> Image:
        """Return the picture with its target drawn on it; unchanged if the target is text."""

    @abstractmethod
    def draw_beside(
        self, picture: Picture, prediction: PredictionT, target: TargetT
    ) -> tuple[tuple[str, Image], ...]:
        """Return the drawings that the report shows beside a picture, each with a short caption.

        A colour before a word in the caption, as in `#009e73 right, #d55e00 wrong`, is shown as a
        mark of that colour.
        """

    @abstractmethod
    def analyse(
        self, predictions: Sequence[PredictionT], raws: Sequence[RawTarget], rows: Rows
    ) -> JsonObject:
        """Return the task-specific details for `metrics.json` (confusion, per-class tables, …).

        Args:
            predictions: Predictions without their maps, see `Prediction.without_maps`.
            raws: Raw targets: class names, or a text.
            rows: (N, K) rows of `measure`.
        """

    @abstractmethod
    def report_sections(self, details: JsonObject) -> list[ReportSection]:
        """Return the sections of the report for the details from `analyse`."""

    @classmethod
    def bind(cls, labels: Labels, options: Mapping[str, Any]) -> Self:
        """Create the task from plain values.

        Raises:
            RecipeError: If an option is unknown (the message suggests the closest), or a value has
                the wrong type or is out of bounds.
        """
        bound = parse_section(cls.options_type, options, "task_options.")
        return cls(labels=labels, options=bound)


class Collector(Protocol[PredictionT_co]):
    """Collects the maps of one picture from top to bottom, and returns the prediction.

    Memory use is that of a band of rows, for pictures of any size.
    """

    def add(self, top: int, outputs: Outputs) -> None:
        """Add the next band.

        Args:
            top: First row of the band, in original pixels; bands are contiguous and do not overlap.
            outputs: Core outputs, each (C, rows, W) float32 in original pixels. The arrays are
                reused, so they must not be kept.
        """

    def finish(self) -> PredictionT_co:
        """Return the prediction; called once, after the last band."""


@dataclass(frozen=True)
class TiledTask(Task[TargetT, PredictionT]):
    """A task that predicts every pixel: its outputs are maps, and pictures may have any size.

    Its rows are additive: the rows of the parts of a picture sum to the row of the picture.
    """

    @abstractmethod
    def collect(
        self, frame: Frame, calibration: Calibration, *, explain: bool = False
    ) -> Collector[PredictionT]:
        """Return a collector for the maps of one picture.

        Args:
            frame: Frame of the whole picture.
            calibration: Calibration of the bundle.
            explain: Whether to keep what `Prediction.heat` needs.

        Raises:
            MissingExtraError: If a package that this calibration needs is not installed.
        """
