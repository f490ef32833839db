"""The read task without torch: texts, decoding of columns, metrics, report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.data.source import TargetKind
from foveal.errors import RecipeError, TargetError
from foveal.tasks.base import (
    ECE_WORDS,
    Baseline,
    MetricWords,
    OutputBatch,
    ReportSection,
    Rows,
    Task,
)
from foveal.tasks.read import analysis
from foveal.tasks.read.calibrate import fit_temperature, fitted_on
from foveal.tasks.read.constraint import Constraint, allows, make_constraint
from foveal.tasks.read.ctc import log_probability, position_log_probability
from foveal.tasks.read.decoding import decode_text
from foveal.tasks.read.expression import value_of
from foveal.tasks.read.options import ReadOptions, check_words, choose_options
from foveal.tasks.read.places import place_characters
from foveal.tasks.read.prediction import Reading, character_index, elected
from foveal.tasks.read.schema import reading_schema
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

Target = str

__all__ = ["TASK", "ReadOptions", "ReadTask", "Reading"]


@final
@dataclass(frozen=True)
class ReadTask(Task[Target, Reading]):
    """The read task, bound to its alphabet."""

    name: ClassVar[str] = "read"
    options_type: ClassVar[type[ReadOptions]] = ReadOptions
    primary_metric: ClassVar[str] = "exact_match"
    decoding: ClassVar[str] = (
        "Divide logits by calibration.temperature and take the softmax over the last axis: class 0 "
        "is the blank, class i + 1 is labels[i]. Take the best class of each column; with the "
        "heads ctc and gru merge equal neighbours; remove blanks. Where task_options has a "
        "grammar, a pattern or words, or its decoder is beam, the answer is the most probable text "
        "allowed, found by a prefix beam search. The confidence is the probability of the text, "
        "over all its alignments. An answer is unsure when its confidence is below "
        "calibration.unsure_below or unfamiliarity, where the network gives it, is above 1."
    )
    metric_words: ClassVar[Mapping[str, MetricWords]] = {
        "exact_match": MetricWords("Exact match", "pictures read without any mistake"),
        "character_accuracy": MetricWords(
            "Character accuracy", "one minus the character error rate"
        ),
        "ece": ECE_WORDS,
        "value_accuracy": MetricWords("Value accuracy", "expressions whose value is right"),
        "parse_failures": MetricWords(
            "Parse failures", "expressions answered without a value; smaller is better"
        ),
    }
    target_kind: ClassVar[TargetKind] = "text"

    options: ReadOptions

    def __post_init__(self) -> None:
        """Check the options against each other.

        Raises:
            RecipeError: For a head without its length, or a constraint that makes no sense.
        """
        options = self.options
        if options.head == "positions" and options.length < 1:
            raise RecipeError(
                "The head `positions` needs the number of positions.",
                hint="use --set task_options.length=4",
            )
        check_words(self.options, self.labels)
        self._constraint  # noqa: B018  # built here, so that a bad pattern is known at once

    @cached_property
    def _constraint(self) -> Constraint | None:
        return make_constraint(self.options)

    @property
    def _has_value(self) -> bool:
        return bool(self.options.grammar)

    @property
    def core_outputs(self) -> tuple[str, ...]:
        """Return the outputs from which a text is decoded and placed."""
        return tuple(spec.name for spec in self.output_specs())

    @classmethod
    def fit_labels(cls, raws: Iterable[RawTarget]) -> Labels:
        """Return the alphabet: every character of the texts, sorted."""
        return Labels.of(character for raw in raws for text in raw for character in text)

    @classmethod
    def choose_options(cls, raws: Iterable[RawTarget]) -> tuple[JsonObject, dict[str, str]]:
        """Choose the head, and a grammar where every text follows it."""
        return choose_options([raw[0] for raw in raws if raw])

    def parse_target(self, raw: RawTarget, mask: Mask | None = None) -> Target:
        """Return the text of one sample.

        Raises:
            TargetError: If it is empty, too long, or has a character outside the alphabet.
        """
        if len(raw) != 1 or not raw[0]:
            raise TargetError(f"Expected one text that is not empty. Received: {list(raw)}.")
        text = raw[0]
        for character in text:
            character_index(self.labels, character)
        if self.options.head == "positions" and len(text) > self.options.length:
            raise TargetError(
                f"The text {text!r} has {len(text)} characters. Expected at most "
                f"{self.options.length} (task_options.length).",
                hint="--set task_options.head=ctc reads texts of any length",
            )
        return text

    def output_specs(self) -> tuple[TensorSpec, ...]:
        """Return the logits, and for one classifier a position also where each looked."""
        classes = len(self.labels) + 1
        if self.options.head == "positions":
            positions = self.options.length
            return (
                TensorSpec("logits", "float32", (None, positions, classes)),
                TensorSpec("attention", "float32", (None, positions, None)),
            )
        return (TensorSpec("logits", "float32", (None, None, classes)),)

    def decode(
        self, outputs: Outputs, frames: Sequence[Frame], calibration: Calibration
    ) -> list[Reading]:
        """Turn logits, (N, T, K), into one text for each picture."""
        logits = outputs["logits"].astype(np.float32) / np.float32(calibration.temperature)
        log_probabilities = metrics.log_softmax(logits)
        attention = outputs.get("attention")
        return [
            self._read(row, None if attention is None else attention[i], frames[i], calibration)
            for i, row in enumerate(log_probabilities)
        ]

    def _read(
        self,
        log_probabilities: NDArray[np.float32],
        attention: NDArray[np.float32] | None,
        frame: Frame,
        calibration: Calibration,
    ) -> Reading:
        found = decode_text(log_probabilities, self.labels.names, self.options, self._constraint)
        confidence = min(1.0, math.exp(found.log_probability))
        value, value_error = value_of(found.text) if self._has_value else (None, None)
        return Reading(
            confidence=confidence,
            # No allowed text within reach: whatever is said instead is not to be relied on.
            unsure=confidence < calibration.unsure_below or not self._is_allowed(found.text),
            characters=place_characters(found, attention, len(log_probabilities), frame),
            value=value,
            value_error=value_error,
            log_probabilities=log_probabilities,
            attention=attention,
            spans=found.spans,
            frame=frame,
            alphabet=self.labels,
        )

    def _is_allowed(self, text: str) -> bool:
        return self._constraint is None or allows(self._constraint, text)

    def measure(self, prediction: Reading, target: Target) -> NDArray[np.float64]:
        """Return one row; its layout is `analysis.ROW_LAYOUT`."""
        truth = value_of(target)[0] if self._has_value else None
        return analysis.row(
            prediction.text,
            target,
            prediction.confidence,
            value=prediction.value,
            target_value=truth,
            has_value=self._has_value,
        )

    def summarise(self, rows: Rows) -> dict[str, float]:
        """Return exact_match, character_accuracy, ece, and the values' metrics; see `analysis`."""
        return analysis.summarise(rows, has_value=self._has_value)

    def is_correct(self, rows: Rows) -> NDArray[np.bool_]:
        """Return whether each whole text was right."""
        return analysis.is_correct(rows)

    def fit_calibration(
        self, batches: Iterable[OutputBatch], targets: Sequence[Target]
    ) -> Calibration:
        """Fit the temperature on the probability of the whole text."""
        plain = [
            a.text for outputs, frames in batches for a in self.decode(outputs, frames, _PLAIN)
        ]
        right = [text == target for text, target in zip(plain, targets, strict=True)]
        chosen = frozenset(fitted_on(right))
        rows_of = enumerate(row for outputs, _ in batches for row in outputs["logits"])
        logits = {i: row.copy() for i, row in rows_of if i in chosen}
        texts = [[character_index(self.labels, char) for char in text] for text in plain]
        has_positions = self.options.head == "positions"
        probability = position_log_probability if has_positions else log_probability

        def score(sample: int, temperature: float) -> float:
            rows = metrics.log_softmax(logits[sample] / np.float32(temperature))
            return math.exp(min(0.0, probability(rows, texts[sample])))

        return Calibration(temperature=fit_temperature(score, right))

    def baseline(self, raws: Sequence[RawTarget], rows: Rows) -> Baseline:
        """Return the most frequent text as the answer to every picture."""
        texts = [raw[0] for raw in raws]
        text, count = Counter(texts).most_common(1)[0]
        value = value_of(text)[0] if self._has_value else None
        constant = [
            analysis.row(
                text,
                truth,
                count / len(texts),
                value=value,
                target_value=value_of(truth)[0] if self._has_value else None,
                has_value=self._has_value,
            )
            for truth in texts
        ]
        return Baseline(text, np.stack(constant))

    def json_schema(self) -> JsonObject:
        """Return the schema of a text with its characters, and of the value of an expression."""
        return reading_schema(self.labels, has_value=self._has_value)

    def agreement(self, first: Reading, second: Reading) -> tuple[float, float]:
        """Compare texts, and the probabilities of all characters in all columns."""
        if first.log_probabilities.shape != second.log_probabilities.shape:
            return False, math.inf
        difference = np.exp(first.log_probabilities) - np.exp(second.log_probabilities)
        return first.text == second.text, float(np.abs(difference).max(initial=0.0))

    def vote(self, predictions: Sequence[Reading]) -> Reading:
        """Take the text for which the confidences of those that read it add up to most."""
        return elected(predictions)

    def draw_target(self, picture: Picture, target: Target) -> Image:
        """Return the picture: its text is words."""
        return picture.pixels

    def draw_beside(
        self, picture: Picture, prediction: Reading, target: Target
    ) -> tuple[tuple[str, Image], ...]:
        """Return the picture above the alignment of columns and characters."""
        return (("what speaks for the answer", prediction.draw(picture)),)

    def analyse(
        self, predictions: Sequence[Reading], raws: Sequence[RawTarget], rows: Rows
    ) -> JsonObject:
        """Return tables by length, position and character, and the mistakes."""
        texts = [raw[0] for raw in raws]
        values = [
            (prediction.value, value_of(text)[0])
            for prediction, text in zip(predictions, texts, strict=True)
            if self._has_value
        ]
        return analysis.analyse(
            [prediction.text for prediction in predictions],
            texts,
            [prediction.confidence for prediction in predictions],
            values,
            self.labels.names,
            has_value=self._has_value,
        )

    def report_sections(self, details: JsonObject) -> list[ReportSection]:
        """Return the task's sections of the report."""
        from foveal.tasks.read import report

        return report.report_sections(details, has_value=self._has_value)


_PLAIN = Calibration()

TASK = ReadTask
