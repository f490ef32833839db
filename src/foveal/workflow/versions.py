"""Publish models, and evaluate versions on a pinned test set."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from foveal.bundle.bundle import Bundle
from foveal.console import NoProgress, Progress
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.locate import open_storage
from foveal.data.source import Sample, Source
from foveal.data.storage import LocalStorage
from foveal.errors import DataError, FovealError, UsageError
from foveal.evaluate.baseline import primary_by_sample
from foveal.evaluate.evaluate import Evaluation, evaluate_bundle
from foveal.evaluate.measure import MeasureOptions
from foveal.evaluate.table import target_text
from foveal.machine import available_cores, read_ahead
from foveal.predict.predictor import Predictor
from foveal.store.answers import Answered, AnswerTable
from foveal.store.exports import StoredExports
from foveal.store.judge import Measure, TestResult
from foveal.store.record import StoredVersion
from foveal.store.state import TestSet, now, user_name
from foveal.store.store import Store
from foveal.synth import is_synth
from foveal.workflow.measure import part_of
from foveal.workflow.sources import open_as, reading_of

logger = logging.getLogger(__name__)


def push_model(
    bundle: Bundle,
    origin: Path | StoredExports | None,
    store: Store,
    name: str,
    *,
    parent: int | None,
    note: str,
) -> StoredVersion:
    """Publish a bundle with its known answers to the validation pictures.

    Args:
        bundle: The bundle.
        origin: Its run, or its place in another store, if one is at hand.
        store: Where to.
        name: Name of the model there.
        parent: The version to compare it with; None takes the current one.
        note: A remark that is stored with the version.

    Raises:
        DataError: If the answers cannot be read.
        UsageError: For an invalid name, or a store that cannot be written to.
    """
    answers = None
    if isinstance(origin, StoredExports):
        answers = Store(origin.files).answers(origin.name, origin.version)
    elif origin is not None and (origin / "predictions.csv").is_file():
        content = (origin / "predictions.csv").read_bytes()
        answers = AnswerTable.from_predictions(content, bundle.task.primary_metric)
    pushed = store.push(bundle, name, answers=answers, parent=parent, note=note)
    _measure_now(store, name, [pushed.version])
    return pushed


def pin_test_set(
    store: Store,
    name: str,
    data: str,
    *,
    split: str | None = None,
    label_regex: str | None = None,
    tolerance: float = 0.0,
    progress: Progress | None = None,
) -> TestSet:
    """Pin labelled data as the test set of a name, and measure its versions that are in use.

    Args:
        store: The store.
        name: The name.
        data: As for `foveal evaluate`.
        split: Use only this part of the data.
        label_regex: Finds the label in a file name.
        tolerance: Allowed decrease of the primary metric of a new version, in [0, 1].
        progress: Receives the progress.

    Raises:
        DataError: If no labelled picture can be read.
        StoreError: If there is no such name.
        UsageError: For pictures that are drawn anew, or a tolerance out of range.
    """
    current = store.resolve(name)
    bundle = store.bundle(current.name, current.version)
    test = _make_test_set(
        bundle,
        data,
        split=split,
        label_regex=label_regex,
        tolerance=tolerance,
        progress=progress or NoProgress(),
    )
    store.pin(name, test)
    _measure_now(store, name, sorted({current.version, *store.state(name).aliases.values()}))
    return test


def _measure_now(store: Store, name: str, versions: Iterable[int]) -> None:
    """Measure versions on the pinned test set, if there is one and it is at hand."""
    test = store.state(name).test
    for version in versions if test is not None else ():
        try:
            result = store.test_result(name, version)
        except FovealError as error:
            logger.warning("%s:%d has not been measured: %s", name, version, error.message)
            continue
        if result is not None and (seen := result.answers.seen):
            logger.warning(
                "%s:%d was trained on %d of the %d pictures of the test set; they are left out",
                name,
                version,
                seen,
                len(result.answers.pictures),
            )


def _make_test_set(
    bundle: Bundle,
    data: str,
    *,
    split: str | None,
    label_regex: str | None,
    tolerance: float,
    progress: Progress,
) -> TestSet:
    if is_synth(data):
        raise UsageError(
            f"{data} cannot be pinned, because a later version of foveal may generate other "
            "pictures.",
            hint=f"foveal synth {data.removeprefix('synth:')} --out test-set",
        )
    if not 0 <= tolerance < 1:
        raise UsageError(f"Invalid tolerance. Expected 0 to 1. Received: {tolerance}.")
    storage = open_storage(data)
    # The store is read from other folders, too.
    place = str(storage.path.resolve()) if isinstance(storage, LocalStorage) else data
    source, samples = _samples(bundle, place, split, label_regex)
    progress.start("read the test set", None)
    digest = _digest(source, samples, with_masks=bundle.task.target_kind == "mask")
    progress.finish()
    return TestSet(place, split, label_regex, digest, len(samples), tolerance, now(), user_name())


def measure_with(progress: Progress | None = None) -> Measure:
    """Return what measures a version on a test set, for `Store.promote`."""
    return lambda bundle, test: _measure(bundle, test, progress or NoProgress())


def _measure(bundle: Bundle, test: TestSet, progress: Progress) -> TestResult:
    source, samples = _samples(bundle, test.data, test.split, test.label_regex)
    evaluation = evaluate_bundle(
        Predictor(bundle),
        source,
        samples=samples,
        split=test.split,
        options=MeasureOptions(worst=0, best=0, timed=0),
        progress=progress,
    )
    return TestResult(
        bundle=bundle.version,
        digest=_digest(source, samples, with_masks=bundle.task.target_kind == "mask"),
        metrics={name: value.to_json() for name, value in evaluation.metrics.items()},
        answers=answers_of(evaluation),
    )


def _samples(
    bundle: Bundle, data: str, split: str | None, label_regex: str | None
) -> tuple[Source, Sequence[Sample]]:
    source = open_as(data, reading_of(bundle, label_regex=label_regex))
    return source, part_of(source, split, None)


def answers_of(evaluation: Evaluation) -> AnswerTable:
    """Return the answers of an evaluation."""
    measured = evaluation.measured
    values = primary_by_sample(evaluation.task, measured.rows)
    seen = evaluation.trained_on
    return AnswerTable(
        {
            sample.id: Answered(
                target_text(sample),
                measured.predictions[i].text,
                float(values[i]),
                bool(evaluation.correct[i]),
                seen is not None and bool(seen[i]),
            )
            for i, sample in enumerate(measured.samples)
        }
    )


def _digest(source: Source, samples: Sequence[Sample], *, with_masks: bool) -> str:
    """Return the digest of pictures and labels, whatever a model makes of them."""
    part = partial(_digest_one, source, with_masks=with_masks)
    with closing(read_ahead(part, samples, workers=available_cores(), ahead=32)) as parts:
        return hashlib.sha256(b"".join(sorted(parts))).hexdigest()


def _digest_one(source: Source, sample: Sample, *, with_masks: bool) -> bytes:
    said = "|".join(sample.raw or ()).encode()
    try:
        # The digest is that of the file; the picture is decoded no larger than it must be.
        content = source.load(sample, DEFAULT_LIMITS, (1, 1)).digest
        content += source.mask(sample).tobytes() if with_masks else b""
    except DataError as error:
        content = error.message.encode()
    return hashlib.sha256(b"\0".join((sample.id.encode(), said, content))).digest()
