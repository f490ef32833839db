"""From bytes to answers: decode, pre-process, run, decode the outputs. One path for everybody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.bundle import Bundle
from foveal.data.decode import DecodeLimits, decode
from foveal.errors import BundleError, FovealError
from foveal.predict.engine import Engine, OnnxEngine
from foveal.types import Frame, Image, JsonObject, Outputs, Picture

# Enough for a 100-megapixel-class camera's JPEG; a server sets its own, lower limits.
DEFAULT_LIMITS = DecodeLimits(max_bytes=100_000_000, max_pixels=50_000_000)


@final
class Predictor:
    """Answers pictures with one bundle. Safe to use from several threads.

    Args:
        bundle: An opened bundle.
        threads: Threads of one run of the network; None takes every core.
        engine: Runs the network instead of ONNX Runtime.
        limits: Largest picture that is decoded.

    Raises:
        BundleError: When the network's outputs are not those of the bundle's task.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        engine: Engine | None = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        """Load the network."""
        self.bundle = bundle
        self.task = bundle.task
        self.pipeline = bundle.pipeline
        self.limits = limits
        if engine is None:
            onnx_engine = OnnxEngine(bundle.model_bytes(), threads=threads)
            missing = {s.name for s in self.task.output_specs()} - set(onnx_engine.output_names)
            if missing:
                raise BundleError(f"model.onnx lacks the outputs {sorted(missing)}.")
            engine = onnx_engine
        self.engine = engine

    def decode(self, data: bytes) -> Picture:
        """Decode the bytes of a picture file, at a reduced scale where that loses nothing.

        Raises:
            ImageError: When it is not a picture, damaged, or over the limits.
        """
        return decode(data, self.limits, min_size=self.pipeline.decode_size)

    def prepare(self, picture: Picture) -> tuple[Image, Frame]:
        """Return the model input of a picture, (height, width, 3) uint8, and its frame.

        Raises:
            ImageError: When it is wider than the model reads.
        """
        return self.pipeline.apply(picture)

    def outputs(self, inputs: NDArray[np.uint8], *, explain: bool = False) -> Outputs:
        """Run the network on (N, height, width, 3) uint8.

        Args:
            inputs: Model inputs.
            explain: Also give the outputs that only explanations need.
        """
        return self.engine.run(inputs, None if explain else self.task.core_outputs)

    def predict_inputs(
        self, inputs: Sequence[Image], frames: Sequence[Frame], *, explain: bool = False
    ) -> list[Any]:
        """Return one prediction for each model input; those of one width are run as one batch."""
        positions: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, pixels in enumerate(inputs):
            positions[pixels.shape].append(i)
        answers: dict[int, Any] = {}
        calibration = self.bundle.manifest.calibration
        for same in positions.values():
            outputs = self.outputs(np.stack([inputs[i] for i in same]), explain=explain)
            decoded = self.task.decode(outputs, [frames[i] for i in same], calibration)
            answers.update(zip(same, decoded, strict=True))
        return [answers[i] for i in range(len(inputs))]

    def predict(self, pictures: Sequence[Picture], *, explain: bool = False) -> list[Any]:
        """Return one prediction for each picture."""
        if not pictures:
            return []
        prepared = [self.prepare(picture) for picture in pictures]
        inputs = [pixels for pixels, _ in prepared]
        return self.predict_inputs(inputs, [frame for _, frame in prepared], explain=explain)

    def record(self, prediction: Any, source: str, ms: float) -> JsonObject:
        """Return the prediction as the predictions contract has it."""
        return {
            **self.task.to_json(prediction),
            "source": source,
            "model": self.bundle.name,
            "version": self.bundle.version,
            "ms": round(ms, 3),
        }


def error_record(source: str, error: FovealError) -> JsonObject:
    """Return a failed item as the predictions contract has it."""
    return {"source": source, "error": error.to_json()}
