"""The description that every export contains, as a JSON object. No torch.

Whoever finds an exported file can answer pictures with it from these words alone: what goes in,
what comes out, and how outputs become answers.
"""

from __future__ import annotations

from dataclasses import replace

from foveal.bundle.agreement import INPUT_NAME
from foveal.bundle.bundle import Bundle
from foveal.export.proof import Proof
from foveal.pipeline import Fit, Pipeline
from foveal.types import Calibration, JsonObject

SCHEMA_VERSION = 1
_FITS: dict[Fit, str] = {
    "pad": "Scale it to fit into the input with its aspect ratio kept, and centre it on pad_color.",
    "stretch": "Scale it to the size of the input.",
    "crop": "Scale it to cover the input with its aspect ratio kept, and cut out the centre.",
    "line": (
        "Scale it to the height of the input with its aspect ratio kept, and fill with pad_color "
        "on the right up to the next multiple of width_step."
    ),
    "tile": (
        "Scale it by `scale`, cut it into overlapping tiles of the size of the input, and join "
        "their outputs with Gaussian weights."
    ),
}


def describe(
    bundle: Bundle, *, calibration: Calibration | None = None, proof: Proof | None = None
) -> JsonObject:
    """Return the description for exports of a bundle.

    Args:
        bundle: The model.
        calibration: The exported network's, where it is not the bundle's.
        proof: How the export answered in its own runtime, where that is known when it is written.
    """
    manifest = bundle.manifest
    if calibration is not None:
        manifest = replace(manifest, calibration=calibration)
    known = manifest.to_json()
    described: JsonObject = {
        "schema_version": SCHEMA_VERSION,
        "name": bundle.name,
        "version": bundle.version,
        **{key: known[key] for key in ("task", "created", "foveal_version", "labels")},
        **{key: known[key] for key in ("task_options", "pipeline")},
        "input": {"name": INPUT_NAME, "dtype": "uint8", "shape": _input_shape(bundle.pipeline)},
        **{key: known[key] for key in ("outputs", "calibration", "metrics", "backbone")},
        "licences": known["licences"],
        "preprocessing": preprocessing_words(bundle.pipeline),
        "postprocessing": bundle.task.decoding,
    }
    return described if proof is None else {**described, "proof": proof.to_json()}


def preprocessing_words(pipeline: Pipeline) -> str:
    """Return how a picture becomes a model input, in words."""
    steps = f" Page steps come first: {', '.join(pipeline.steps)}." if pipeline.steps else ""
    return (
        "Decode the picture, turn it as its EXIF orientation says, lay what is transparent on "
        f"white, and take it as 8-bit RGB.{steps} {_FITS[pipeline.fit]} Resampling is bilinear "
        "with antialiasing, as docs/bundle-format.md of foveal defines it. The network takes "
        "uint8 and normalises by itself."
    )


def _input_shape(pipeline: Pipeline) -> list[int | None]:
    return [None, pipeline.height, None if pipeline.is_ragged else pipeline.width, 3]
