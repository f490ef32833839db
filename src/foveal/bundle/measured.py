"""Engines that a bundle was calibrated and measured for, kept in `parity` of `bundle.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, final

from foveal.bundle import values
from foveal.bundle.manifest import Manifest
from foveal.errors import BundleError
from foveal.types import Calibration, JsonObject

_ENGINES = "engines"


@final
@dataclass(frozen=True, slots=True)
class MeasuredEngine:
    """How an engine of lower precision answers, and the calibration that was fitted to it.

    Attributes:
        calibration: Calibration of its outputs, fitted on validation pictures.
        proof: Comparison of its answers to validation pictures with those of ONNX Runtime.
        label_agreement: Share of the bundle's proof inputs that it answers as ONNX Runtime does.
        max_probability_difference: Largest difference of a probability on these inputs.
    """

    calibration: Calibration
    proof: JsonObject
    label_agreement: float
    max_probability_difference: float


def with_measured(manifest: Manifest, name: str, measured: MeasuredEngine) -> Manifest:
    """Return a manifest that states the calibration and the proof of an engine."""
    # As it is read back from the file: with lists.
    entry = json.loads(json.dumps(asdict(measured)))
    engines = {**manifest.parity.get(_ENGINES, {}), name: entry}
    return replace(manifest, parity={**manifest.parity, _ENGINES: engines})


def measured_engine(manifest: Manifest, name: str) -> MeasuredEngine | None:
    """Return what a bundle states of an engine; None if it was not measured for it.

    Raises:
        BundleError: If it is not as documented.
    """
    found: Any = manifest.parity.get(_ENGINES, {})
    if not isinstance(found, Mapping) or name not in found:
        return None
    try:
        entry = values.mapping(dict(found), name)
        stated = values.numbers(
            {key: entry[key] for key in ("label_agreement", "max_probability_difference")}, name
        )
        return MeasuredEngine(
            calibration=values.calibration(
                values.mapping(entry, "calibration"), len(manifest.labels)
            ),
            proof=values.mapping(entry, "proof"),
            label_agreement=float(stated["label_agreement"] or 0.0),
            max_probability_difference=float(stated["max_probability_difference"] or 0.0),
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise BundleError(f"Invalid {_ENGINES} in parity of bundle.json: {error}") from error
