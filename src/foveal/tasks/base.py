"""What a task must say about itself, without torch. Everything shared is written against this.

A task is one folder: `task.py` holds `TASK` (a subclass of `Task`), `training.py` holds `TRAINING`
(see `foveal.tasks.training`). Data, trainer, bundle, server and report know no task by name.
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
        note: One or two sentences on how to read it.
        tables: Each (header, rows) of strings.
        figures: Each (alternative text, SVG document).
    """

    title: str
    note: str = ""
    tables: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...] = ()
    figures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """The best answer that is the same for every picture.

    Attributes:
        answer: As `Prediction.text` would say it.
        rows: (N, K) what `Task.measure` would give for it.
    """

    answer: str
    rows: Rows


class MetricWords(NamedTuple):
    """What people are told of a metric."""

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
        options: An instance of `options_type`.
    """

    name: ClassVar[str]
    options_type: ClassVar[type[Any]]
    """A frozen dataclass of plain values: this task's part of the recipe and of the bundle."""
    primary_metric: ClassVar[str]
    """The metric by which epochs and runs are compared; larger is better."""
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

    @classmethod
    @abstractmethod
    def fit_labels(cls, raws: Iterable[RawTarget]) -> Labels:
        """Return the labels found in the raw targets of a source."""

    @classmethod
    @abstractmethod
    def choose_options(cls, raws: Iterable[RawTarget]) -> tuple[JsonObject, dict[str, str]]:
        """Return the options that the raw targets call for, and the reason for each key."""

    @abstractmethod
    def parse_target(self, raw: RawTarget, mask: Mask | None = None) -> TargetT:
        """Return the target of one sample.

        Args:
            raw: Class names or a text; beside a mask the names that its values stand for.
            mask: Where `target_kind` is `mask`: positions in `raw`, or `IGNORED`.

        Raises:
            TargetError: When it holds something that is not a label.
        """

    @property
    @abstractmethod
    def core_outputs(self) -> tuple[str, ...]:
        """Return the names of the outputs that `decode` needs; the others serve explanations."""

    @abstractmethod
    def output_specs(self) -> tuple[TensorSpec, ...]:
        """Return what the exported network must give, batch axis first."""

    @abstractmethod
    def decode(
        self, outputs: Outputs, frames: Sequence[Frame], calibration: Calibration
    ) -> list[PredictionT]:
        """Turn network outputs into predictions, with results in original pixels."""

    @abstractmethod
    def measure(self, prediction: PredictionT, target: TargetT) -> NDArray[np.float64]:
        """Return one row for one sample; see `Rows`."""

    @abstractmethod
    def summarise(self, rows: Rows) -> dict[str, float]:
        """Return the metrics of many rows; holds `primary_metric`. NaN where undefined."""

    @abstractmethod
    def is_correct(self, rows: Rows) -> NDArray[np.bool_]:
        """Return, for each row, whether the whole answer was right."""

    @abstractmethod
    def fit_calibration(
        self, batches: Iterable[OutputBatch], targets: Sequence[TargetT]
    ) -> Calibration:
        """Fit temperature and thresholds on validation outputs.

        The `unsure` limit is chosen for all tasks alike, once the bundle is measured.

        Args:
            batches: The outputs and frames of all validation samples. They may be read from disk or
                computed as they are iterated over, so nothing is kept that is not needed.
            targets: Targets of all validation samples, in the order of the batches.
        """

    @abstractmethod
    def baseline(self, raws: Sequence[RawTarget], rows: Rows) -> Baseline:
        """Return what the best answer that is the same for every picture gets.

        Args:
            raws: What is true of each sample, as readers found it; at least one.
            rows: What `measure` gave for the model's answers to them.
        """

    @abstractmethod
    def json_schema(self) -> JsonObject:
        """Return the JSON schema, 2020-12, of what `Prediction.to_json` gives: an object."""

    @abstractmethod
    def agreement(self, first: PredictionT, second: PredictionT) -> tuple[float, float]:
        """Compare two answers to one picture.

        Returns:
            The share of the answer that is the same (0 or 1 where it has no parts), and the
            largest difference of a probability.
        """

    @abstractmethod
    def vote(self, predictions: Sequence[PredictionT]) -> PredictionT:
        """Join the answers of several bundles to one picture; at least one."""

    @abstractmethod
    def draw_target(self, picture: Picture, target: TargetT) -> Image:
        """Return the picture with its target drawn on it; as it is where the target is words."""

    @abstractmethod
    def draw_beside(
        self, picture: Picture, prediction: PredictionT, target: TargetT
    ) -> tuple[tuple[str, Image], ...]:
        """Return what the report shows beside a picture: a few words on each drawing, and it.

        A colour in front of a word, as in `#009e73 right, #d55e00 wrong`, is shown as a mark of
        that colour.
        """

    @abstractmethod
    def analyse(
        self, predictions: Sequence[PredictionT], raws: Sequence[RawTarget], rows: Rows
    ) -> JsonObject:
        """Return the task's own details for `metrics.json` (confusion, per-class tables, …).

        Args:
            predictions: Without their maps, see `Prediction.without_maps`.
            raws: What is true, as readers found it: class names, or a text.
            rows: What `measure` gave for each.
        """

    @abstractmethod
    def report_sections(self, details: JsonObject) -> list[ReportSection]:
        """Turn what `analyse` returned into sections of the report."""

    @classmethod
    def bind(cls, labels: Labels, options: Mapping[str, Any]) -> Self:
        """Build the task from plain values.

        Raises:
            RecipeError: For an unknown option (names the nearest), or a value of the wrong type or
                out of bounds.
        """
        bound = parse_section(cls.options_type, options, "task_options.")
        return cls(labels=labels, options=bound)


class Collector(Protocol[PredictionT_co]):
    """Takes the maps of one picture from top to bottom and ends in the prediction.

    So a picture of any size is answered in the memory of a band of its rows.
    """

    def add(self, top: int, outputs: Outputs) -> None:
        """Take the next band.

        Args:
            top: First row of the band, in the original's pixels; bands leave no gap and do not
                overlap.
            outputs: Each core output, (C, rows, W) float32 in the original's pixels. Not to be
                kept: the arrays are used again.
        """

    def finish(self) -> PredictionT_co:
        """Return the prediction; called once, after the last band."""


@dataclass(frozen=True)
class TiledTask(Task[TargetT, PredictionT]):
    """A task that answers every pixel: its outputs are maps, and pictures may be of any size.

    Its rows are sums: those of a picture's parts add up to the picture's own.
    """

    @abstractmethod
    def collect(
        self, frame: Frame, calibration: Calibration, *, explain: bool = False
    ) -> Collector[PredictionT]:
        """Return what takes the network's maps of one picture and ends in its prediction.

        Args:
            frame: Frame of the whole picture.
            calibration: Calibration of the bundle.
            explain: Whether the prediction shall hold what `Prediction.heat` needs.

        Raises:
            MissingExtraError: When a package is missing that this calibration needs.
        """
