"""Prepare the files and the record of a version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from foveal.bundle.bundle import Bundle
from foveal.errors import BundleError, UsageError
from foveal.metrics import Interval
from foveal.store.answers import AnswerTable
from foveal.store.difference import Difference, paired, subtract, unpaired
from foveal.store.files import Content
from foveal.store.record import ANSWERS_NAME, RECORD_NAME, Record, files_of
from foveal.store.state import now, user_name
from foveal.version import __version__


def content_of(bundle: Bundle, record: Record, answers: AnswerTable | None) -> Content:
    """Return the files of a version.

    Args:
        bundle: The bundle.
        record: Its record, whose digests are checked once more while it is copied.
        answers: Its answers to the validation pictures, where they are known.
    """
    files = {name: partial(_unchanged, bundle, name, record) for name in record.files}
    extra = {RECORD_NAME: record.to_bytes()}
    if answers is not None:
        extra[ANSWERS_NAME] = answers.to_bytes()
    return {**files, **{name: partial(bytes, content) for name, content in extra.items()}}


def describe(
    bundle: Bundle,
    answers: AnswerTable | None,
    parent: tuple[int, Record, AnswerTable | None] | None,
    note: str,
) -> Record:
    """Return the record of a bundle that is about to be published.

    Args:
        bundle: The bundle.
        answers: Its answers to the validation pictures, where they are known.
        parent: Version, record and answers of the version to compare it with.
        note: What the publisher writes about it.

    Raises:
        UsageError: If the parent is of another task.
    """
    manifest, metric = bundle.manifest, bundle.task.primary_metric
    difference, differences = None, {}
    if parent is not None:
        number, before, known = parent
        if before.task != manifest.task:
            raise UsageError(
                f"Version {number} is for the task {before.task!r} and this model for "
                f"{manifest.task!r}, so neither can replace the other.",
                hint="publish it under another name",
            )
        difference = difference_to(before.metrics, known, metric, bundle, answers)
        differences = {
            name: subtract(Interval.from_json(value), Interval.from_json(before.metrics[name]))
            for name, value in manifest.metrics.items()
            if name in before.metrics
        }
    return Record(
        bundle=bundle.version,
        model=bundle.name,
        task=manifest.task,
        created=manifest.created,
        trained_by=manifest.foveal_version,
        pushed=now(),
        pushed_by=__version__,
        who=user_name(),
        parent=None if parent is None else parent[0],
        data=dict(manifest.data),
        recipe_digest=manifest.recipe_digest,
        metrics={name: dict(value) for name, value in manifest.metrics.items()},
        primary_metric=metric,
        difference=None if difference is None else difference.to_json(),
        differences={name: value.to_json() for name, value in differences.items()},
        files=files_of(bundle),
        note=note,
    )


def difference_to(
    before: Mapping[str, Any],
    known: AnswerTable | None,
    metric: str,
    bundle: Bundle,
    answers: AnswerTable | None,
) -> Difference:
    """Return the difference to another version: picture by picture where that is possible.

    Args:
        before: Metrics of the other version.
        known: Its answers.
        metric: Name of the primary metric.
        bundle: The version.
        answers: Its answers.
    """
    if known is not None and answers is not None:
        found = paired(metric, known, answers)
        if found.is_paired:
            return found
    return unpaired(metric, before, bundle.manifest.metrics)


def _unchanged(bundle: Bundle, name: str, record: Record) -> bytes:
    content = bundle.read(name)
    if hashlib.sha256(content).hexdigest() != record.files[name]["sha256"]:
        raise BundleError(f"{name} in {bundle.path} was changed while it was being published.")
    return content
