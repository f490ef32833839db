"""`bundle.json` as a value: strict reading, stable writing. See docs/bundle-format.md.

Plain dataclasses and the standard library only: opening a bundle must cost milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, final

from foveal.bundle import values
from foveal.data.decode import DEFAULT_LIMITS, DecodeLimits
from foveal.errors import BundleError
from foveal.pipeline import Pipeline
from foveal.tasks.distribution import Distribution
from foveal.types import Calibration, JsonObject, TensorSpec

SCHEMA_VERSION = 1
_OPTIONAL = frozenset({"limits", "baseline", "answers"})


@final
@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of `bundle.json`.

    Attributes:
        name: A name for people and for routes; letters, digits, `.`, `_`, `-`.
        task: Name of the task.
        created: UTC time, ISO 8601.
        foveal_version: Version that wrote the bundle.
        labels: Class names, or the alphabet, in the order of the network's outputs.
        task_options: The task's options as plain values.
        pipeline: The pre-processing; the network takes (N, height, width, 3) uint8 RGB.
        outputs: What the network gives, batch axis first (None = any length).
        calibration: Temperature, thresholds and the `unsure` limit.
        metrics: Validation metrics: name → {"value", "low", "high"}.
        data: Fingerprint and sizes of the data trained on.
        recipe_digest: sha256 of the recipe without its reasons.
        backbone: Name of the backbone.
        parity: How the network in this bundle was compared with the trained one.
        licences: One object for each set of foreign weights: name, licence, origin.
        files: File name → sha256 of every file beside `bundle.json`.
        schema_version: Version of this format.
        limits: Largest picture that was decoded whole to train on.
        baseline: What the best answer that is the same for every picture gets on validation; see
            docs/bundle-format.md. Empty in older bundles.
        answers: How often each kind of answer was given on validation, and how confidently; None in
            older bundles.
    """

    name: str
    task: str
    created: str
    foveal_version: str
    labels: tuple[str, ...]
    task_options: JsonObject
    pipeline: Pipeline
    outputs: tuple[TensorSpec, ...]
    calibration: Calibration
    metrics: Mapping[str, Mapping[str, float | None]]
    data: JsonObject
    recipe_digest: str
    backbone: str
    parity: JsonObject
    licences: tuple[JsonObject, ...]
    files: Mapping[str, str]
    schema_version: int = SCHEMA_VERSION
    limits: DecodeLimits = DEFAULT_LIMITS
    baseline: JsonObject = field(default_factory=dict)
    answers: Distribution | None = None

    @property
    def folds(self) -> int | None:
        """Number of folds of the cross-validation that the metrics are of; None for none."""
        folds = self.data.get("folds")
        return folds if isinstance(folds, int) else None

    def to_json(self) -> JsonObject:
        """Return the manifest as JSON values, keys in the documented order."""
        return {
            "schema_version": self.schema_version,
            "name": self.name,
            "task": self.task,
            "created": self.created,
            "foveal_version": self.foveal_version,
            "labels": list(self.labels),
            "task_options": dict(self.task_options),
            "pipeline": self.pipeline.to_json(),
            "limits": {
                "max_pixels": self.limits.max_pixels,
                "max_bytes": self.limits.max_bytes,
            },
            "outputs": [
                {"name": o.name, "dtype": o.dtype, "shape": list(o.shape)} for o in self.outputs
            ],
            "calibration": {
                f.name: _plain(getattr(self.calibration, f.name)) for f in fields(Calibration)
            },
            "metrics": {name: dict(value) for name, value in self.metrics.items()},
            "baseline": dict(self.baseline),
            "answers": None if self.answers is None else self.answers.to_json(),
            "data": dict(self.data),
            "recipe_digest": self.recipe_digest,
            "backbone": self.backbone,
            "parity": dict(self.parity),
            "licences": [dict(licence) for licence in self.licences],
            "files": dict(self.files),
        }

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read `bundle.json`.

        Raises:
            BundleError: `bundle_invalid` for anything that is not as documented,
                `bundle_too_new` for a later schema version.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"bundle.json is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise BundleError("Invalid bundle.json. Expected an object.")
        version = data.get("schema_version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise BundleError(f"Invalid schema_version in bundle.json. Received: {version!r}.")
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"This bundle has schema version {version}; this foveal reads up to "
                f"{SCHEMA_VERSION}.",
                code="bundle_too_new",
                hint="pip install --upgrade foveal",
            )
        expected = {f.name for f in fields(cls)}
        if odd := sorted((set(data) ^ expected) - (_OPTIONAL - set(data))):
            raise BundleError(f"Invalid bundle.json. Missing or unknown keys: {odd}.")
        try:
            # A number that JSON does not know, such as NaN, or half a character.
            json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
            return _build(data)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise BundleError(f"Invalid value in bundle.json: {error}") from error


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _build(data: Mapping[str, Any]) -> Manifest:
    labels = values.labels(data["labels"])
    return Manifest(
        name=values.text(data, "name"),
        task=values.text(data, "task"),
        created=values.text(data, "created"),
        foveal_version=values.text(data, "foveal_version"),
        labels=labels,
        task_options=values.mapping(data, "task_options"),
        pipeline=Pipeline.from_json(values.mapping(data, "pipeline")),
        outputs=values.outputs(data["outputs"]),
        calibration=values.calibration(values.mapping(data, "calibration"), len(labels)),
        metrics=values.metrics(values.mapping(data, "metrics")),
        data=values.mapping(data, "data"),
        recipe_digest=values.text(data, "recipe_digest"),
        backbone=values.text(data, "backbone"),
        parity=values.mapping(data, "parity"),
        licences=values.licences(data["licences"]),
        files=values.files(values.mapping(data, "files")),
        schema_version=data["schema_version"],
        limits=values.limits(data["limits"]) if "limits" in data else DEFAULT_LIMITS,
        baseline=values.baseline(data.get("baseline", {})),
        answers=None if data.get("answers") is None else Distribution.from_json(data["answers"]),
    )
