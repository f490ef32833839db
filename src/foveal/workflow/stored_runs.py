"""Compare versions in a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import yaml

from foveal.bundle.bundle import Bundle
from foveal.errors import DataError
from foveal.evaluate.compare import ComparedRun, Comparison, compare, flatten
from foveal.store.answers import AnswerTable
from foveal.store.changes import kept_result
from foveal.store.difference import Difference
from foveal.store.judge import compare_on_test
from foveal.store.publish import difference_to
from foveal.store.record import StoredVersion
from foveal.store.store import Store
from foveal.types import JsonObject


@final
@dataclass(frozen=True, slots=True)
class VersionDiff:
    """A version of a model against another one.

    Attributes:
        comparison: Settings and metrics of both, and a test on the pictures that both answered.
        difference: In the primary metric, on validation.
        test: The same on the pinned test set; None where not both were measured on it.
        added: Labels that only the second knows.
        missing: Labels that only the first knows.
        is_same_data: Whether both were trained on the same pictures and labels.
    """

    comparison: Comparison
    difference: Difference
    test: Difference | None
    added: tuple[str, ...]
    missing: tuple[str, ...]
    is_same_data: bool

    @property
    def table(self) -> str:
        """Return settings and metrics as aligned text."""
        return self.comparison.table.partition("\n\n")[0]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return what else there is to say."""
        said = [f"validation: {self.difference.sentence}"]
        if self.test is not None:
            said.append(f"pinned test set: {self.test.sentence}")
        worse = (self.test or self.difference).lost_pictures
        if worse:
            said.append(f"answered worse: {', '.join(worse[:5])}")
        said += [f"new labels: {', '.join(self.added)}"] if self.added else []
        said += [f"labels that are gone: {', '.join(self.missing)}"] if self.missing else []
        if not self.is_same_data:
            said.append("they were trained on different data")
        return tuple(said)

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            **self.comparison.to_json(),
            "difference": self.difference.to_json(),
            "test": None if self.test is None else self.test.to_json(),
            "labels": {"added": list(self.added), "missing": list(self.missing)},
            "same_data": self.is_same_data,
        }


def compare_versions(store: Store, first: str, second: str) -> VersionDiff:
    """Compare two versions, the first of which is the baseline.

    Raises:
        StoreError: If one of them is not there.
        BundleError: If one of them is damaged.
        UsageError: If they are of different tasks.
    """
    before, after = store.resolve(first), store.resolve(second)
    one, two = (store.bundle(version.name, version.version) for version in (before, after))
    comparison = compare([stored_run(store, before), stored_run(store, after)])
    known, answers = (store.answers(version.name, version.version) for version in (before, after))
    metric = two.task.primary_metric
    data = [bundle.manifest.data.get("fingerprint") for bundle in (one, two)]
    return VersionDiff(
        comparison,
        difference_to(one.manifest.metrics, known, metric, two, answers),
        _on_test(store, before, after, metric),
        tuple(name for name in two.task.labels.names if name not in one.task.labels.names),
        tuple(name for name in one.task.labels.names if name not in two.task.labels.names),
        data[0] == data[1],
    )


def stored_run(store: Store, version: StoredVersion) -> ComparedRun:
    """Return a version as `foveal compare` takes a run.

    Raises:
        BundleError: If it is damaged.
    """
    bundle = store.bundle(version.name, version.version)
    answers = store.answers(version.name, version.version) or AnswerTable({})
    values = {
        "task": bundle.manifest.task,
        "samples": len(answers.pictures) or bundle.manifest.data.get("val"),
        "metrics": {name: dict(value) for name, value in bundle.manifest.metrics.items()},
    }
    correct = {image: answer.is_right for image, answer in answers.pictures.items()}
    return ComparedRun(str(version), Path(str(version)), values, _recipe(bundle), correct)


def _recipe(bundle: Bundle) -> JsonObject:
    if "recipe.yaml" not in bundle.manifest.files:
        return {}
    try:
        return flatten(yaml.safe_load(bundle.read("recipe.yaml")))
    except (ValueError, AttributeError, yaml.YAMLError) as error:
        raise DataError(f"Cannot read the recipe of {bundle.path}: {error}") from error


def _on_test(
    store: Store, before: StoredVersion, after: StoredVersion, metric: str
) -> Difference | None:
    test = store.state(after.name).test
    if test is None or before.name != after.name:
        return None
    old, new = (kept_result(store.files, v.name, v.version, test) for v in (before, after))
    return None if old is None or new is None else compare_on_test(metric, old, new)
