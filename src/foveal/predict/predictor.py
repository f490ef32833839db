"""The predictor: decode, pre-process, run the network, decode the outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.bundle import Bundle
from foveal.data.decode import DecodeLimits, Decoder, decode
from foveal.data.picture_file import read_file
from foveal.errors import BundleError, UsageError
from foveal.predict.copies import whole_picture
from foveal.predict.engine import CheckedEngine, Engine, OnnxEngine
from foveal.predict.tiles import Tiler, TileValues
from foveal.predict.vote import check_question, check_widths, smallest_size
from foveal.render.masks import MaskForm, mask_json, mask_schema
from foveal.tasks.base import TiledTask
from foveal.tasks.prediction import DOUBTS_SCHEMA, Prediction, doubts_json
from foveal.types import (
    UNFAMILIARITY,
    Frame,
    Image,
    JsonObject,
    Outputs,
    Picture,
    Raster,
    TensorSpec,
)

ModelInput: TypeAlias = Image | Raster
"""What `Predictor.prepare` gave, (height, width, 3) uint8; of a tiled pipeline, any raster."""

# A tiled picture is as unfamiliar as the tile that this share of its tiles does not exceed: one
# whose half is foreign is, and one with a scratch, a label or an empty corner is not.
_FAMILIAR_TILES = 0.75


@final
class Predictor:
    """Answers pictures with a bundle. Thread-safe.

    Args:
        bundle: An opened bundle.
        threads: Number of threads of one run of the network; None takes every core.
        engine: Runs the network instead of ONNX Runtime.
        limits: Limits on the size of pictures; None takes those of the bundle, so that every
            training picture is answered.
        others: Predictors of other bundles that vote with this one, each with its own
            pre-processing; see `Task.vote`. Maps are those of the first, or for texts of the most
            confident one.
        decoder: Decodes the pictures, perhaps in other processes.

    Raises:
        BundleError: If the outputs of the network do not match the task of the bundle.
        MissingExtraError: If the bundle uses page steps and OpenCV is not installed.
        UsageError: If the bundles that vote differ in task or labels.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        engine: Engine | None = None,
        limits: DecodeLimits | None = None,
        others: Sequence[Predictor] = (),
        decoder: Decoder = decode,
    ) -> None:
        self.bundle: Bundle = bundle
        self.others = tuple(others)
        for other in self.others:
            check_question(bundle, other.bundle)
        self.task = bundle.task
        self.pipeline = bundle.pipeline
        self.limits = limits or bundle.manifest.limits
        self.decoder = decoder
        if self.pipeline.steps:
            # Known now, not at the first picture. Imported late: few bundles read pages.
            from foveal.page.opencv import opencv

            opencv()
        if engine is None:
            onnx_engine = OnnxEngine(bundle.model_bytes(), threads=threads)
            missing = {s.name for s in self.task.output_specs()} - set(onnx_engine.output_names)
            if missing:
                raise BundleError(f"model.onnx lacks the outputs {sorted(missing)}.")
            engine = onnx_engine
        self.engine = engine
        specs = (*self.task.output_specs(), TensorSpec(UNFAMILIARITY, "float32", (None,)))
        self._checked = CheckedEngine(engine, specs)
        self._tiler = Tiler(self._checked, self.pipeline)
        self._judges = any(spec.name == UNFAMILIARITY for spec in bundle.manifest.outputs)
        """Whether the network says how familiar a picture is; bundles of old do not."""
        self._wanted = (*self.task.core_outputs, *([UNFAMILIARITY] if self._judges else []))

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """The bundle and those that vote with it."""
        return (self.bundle, *(other.bundle for other in self.others))

    @property
    def decode_size(self) -> tuple[int, int] | None:
        """Smallest size at which a picture may be decoded for all voters; None for full size."""
        return smallest_size(self.bundles)

    def open(self, source: str | Path | bytes) -> Raster:
        """Open a picture file, or its bytes: decoded, or for reading in parts if possible.

        A TIFF file that is answered tile by tile is read in parts, whatever its size; everything
        else is decoded as a whole, within the limits.

        Raises:
            ImageError: If it is not a picture, damaged, or over the limits.
        """
        if isinstance(source, bytes):
            return self.decode(source)
        path = Path(source)
        if self.pipeline.is_tiled:
            # Imported late: only pictures that are answered tile by tile need it.
            from foveal.data.tiff.raster import is_tiff_name, open_tiff

            if is_tiff_name(path.name):
                return open_tiff(path)
        return self.decode(read_file(path, self.limits))

    def decode(self, data: bytes) -> Picture:
        """Decode the bytes of a picture file, at a reduced scale if that loses nothing.

        Raises:
            ImageError: If it is not a picture, damaged, or over the limits.
        """
        return self.decoder(data, self.limits, min_size=self.decode_size)

    def prepare(self, picture: Picture) -> tuple[Image, Frame]:
        """Return the model input of a picture, (height, width, 3) uint8, and its frame.

        Raises:
            ImageError: If it is too wide for the model.
        """
        return self.pipeline.apply(picture)

    def prepare_raster(self, raster: Raster) -> tuple[ModelInput, Frame]:
        """Return the model input and frame of a picture from `open`; see `prepare`.

        For a tiled pipeline, this is the picture itself; so it is for a vote, whose voters each use
        their own pre-processing.
        """
        if self.others:
            check_widths(self.bundles, raster)
        if self.pipeline.is_tiled or self.others:
            return raster, self.pipeline.frame(raster.height, raster.width)
        return self.prepare(whole_picture(raster))

    def outputs(self, inputs: NDArray[np.uint8], *, explain: bool = False) -> Outputs:
        """Run the network on (N, height, width, 3) uint8.

        Args:
            inputs: Model inputs.
            explain: Also return the outputs that only explanations need.

        Raises:
            NetworkError: If an output is invalid.
        """
        return self._checked.run(inputs, None if explain else self._wanted)

    def predict_inputs(
        self, inputs: Sequence[ModelInput], frames: Sequence[Frame], *, explain: bool = False
    ) -> list[Prediction]:
        """Return one prediction per model input; inputs of one width are run as one batch.

        Inputs of a tiled pipeline are answered one by one, each at its own size.
        """
        if self.others:
            pictures = [_as_raster(given) for given in inputs]
            return self._voted([v.predict(pictures, explain=explain) for v in self._voters])
        if self.pipeline.is_tiled:
            return [self._answer_tiled(_as_raster(given), explain) for given in inputs]
        return self._answer_batches(_as_arrays(inputs), (frames,), explain)[0]

    def predict_drawn(
        self,
        inputs: Sequence[ModelInput],
        frames: Sequence[Frame],
        copies: Sequence[Picture],
        *,
        explain: bool = True,
    ) -> list[tuple[Prediction, Prediction]]:
        """Answer model inputs once, also for drawing the answers on small copies of the pictures.

        Args:
            inputs: Model inputs.
            frames: Frames of the pictures.
            copies: Copies of the pictures; see `foveal.predict.copies`.
            explain: For a tiled pipeline: whether answers keep the maps for `Prediction.heat`,
                which take far more memory than a mask. Other pipelines always keep them.

        Returns:
            For each input, its prediction and the one to draw on the copy; for a tiled pipeline,
            both are the same.
        """
        if self.others:
            pictures = [_as_raster(given) for given in inputs]
            pairs = [_drawn(voter, pictures, copies, explain=explain) for voter in self._voters]
            sides = [[[pair[i] for pair in own] for own in pairs] for i in (0, 1)]
            predictions, drawings = (self._voted(said) for said in sides)
            return list(zip(predictions, drawings, strict=True))
        if self.pipeline.is_tiled:
            answers = self.predict_inputs(inputs, frames, explain=explain)
            return list(zip(answers, answers, strict=True))
        small = [
            frame.for_copy(copy.height, copy.width)
            for frame, copy in zip(frames, copies, strict=True)
        ]
        whole, drawn = self._answer_batches(_as_arrays(inputs), (frames, small), True)
        return list(zip(whole, drawn, strict=True))

    def predict(self, pictures: Sequence[Raster], *, explain: bool = False) -> list[Prediction]:
        """Return one prediction for each picture."""
        if not pictures:
            return []
        prepared = [self.prepare_raster(picture) for picture in pictures]
        inputs = [given for given, _ in prepared]
        return self.predict_inputs(inputs, [frame for _, frame in prepared], explain=explain)

    @cached_property
    def _voters(self) -> tuple[Predictor, ...]:
        return (Predictor(self.bundle, engine=self.engine, limits=self.limits), *self.others)

    def _voted(self, said: Sequence[Sequence[Prediction]]) -> list[Prediction]:
        """Combine the answers of the voters to each picture."""
        return [self.task.vote(answers) for answers in zip(*said, strict=True)]

    def _answer_batches(
        self, inputs: Sequence[Image], views: Sequence[Sequence[Frame]], explain: bool
    ) -> list[list[Prediction]]:
        """Return the predictions for several frames of the same model inputs."""
        positions: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, pixels in enumerate(inputs):
            positions[pixels.shape].append(i)
        answers: list[dict[int, Prediction]] = [{} for _ in views]
        calibration = self.bundle.manifest.calibration
        for same in positions.values():
            outputs = self.outputs(np.stack([inputs[i] for i in same]), explain=explain)
            for frames, found in zip(views, answers, strict=True):
                decoded = self.task.decode(outputs, [frames[i] for i in same], calibration)
                if self._judges:
                    values = outputs[UNFAMILIARITY].tolist()
                    decoded = [p.judged(v) for p, v in zip(decoded, values, strict=True)]
                found.update(zip(same, decoded, strict=True))
        return [[found[i] for i in range(len(inputs))] for found in answers]

    def _answer_tiled(self, raster: Raster, explain: bool) -> Prediction:
        if not isinstance(self.task, TiledTask):
            raise UsageError(
                f"The task {self.task.name} cannot predict tile by tile.",
                hint="use --set pipeline.fit=pad",
            )
        frame = self.pipeline.frame(raster.height, raster.width)
        collector = self.task.collect(frame, self.bundle.manifest.calibration, explain=explain)
        tiles = TileValues(UNFAMILIARITY) if self._judges else None
        for top, maps in self._tiler.bands(raster, self.task.core_outputs, each=tiles):
            collector.add(top, maps)
        answer: Prediction = collector.finish()
        if tiles is None:
            return answer
        value = np.quantile(tiles.values, _FAMILIAR_TILES, method="nearest")
        return answer.judged(float(value))

    def record(
        self, prediction: Prediction, source: str, ms: float, *, mask: MaskForm = "png"
    ) -> JsonObject:
        """Return a prediction as a record of the predictions contract.

        Args:
            prediction: An answer of this bundle.
            source: Name of the picture.
            ms: Duration in milliseconds.
            mask: Format of the mask, if there is one.
        """
        return {
            **self.answer_json(prediction, mask=mask),
            "source": source,
            "model": ",".join(bundle.name for bundle in self.bundles),
            "version": ",".join(bundle.version for bundle in self.bundles),
            "ms": round(ms, 3),
        }

    def answer_schema(self) -> JsonObject:
        """Return the JSON schema of `answer_json`."""
        schema = self.task.json_schema()
        schema["properties"] = {**schema["properties"], **DOUBTS_SCHEMA}
        if self.task.target_kind == "mask":
            schema["properties"] = {
                **schema["properties"],
                "mask": mask_schema(with_numbers="instances" in schema["properties"]),
            }
        return schema

    def answer_json(self, prediction: Prediction, *, mask: MaskForm = "png") -> JsonObject:
        """Return the answer alone: `record` without its last four keys."""
        answer = {**prediction.to_json(), **doubts_json(prediction)}
        if prediction.mask is not None and mask != "none":
            answer["mask"] = mask_json(
                prediction.mask, self.task.labels.names, mask, prediction.numbers
            )
        return answer


def _drawn(
    voter: Predictor, pictures: Sequence[Raster], copies: Sequence[Picture], *, explain: bool
) -> list[tuple[Prediction, Prediction]]:
    prepared = [voter.prepare_raster(picture) for picture in pictures]
    inputs, frames = [given for given, _ in prepared], [frame for _, frame in prepared]
    return voter.predict_drawn(inputs, frames, copies, explain=explain)


def _as_raster(given: ModelInput) -> Raster:
    return Picture.from_array(given) if isinstance(given, np.ndarray) else given


def _as_arrays(inputs: Sequence[ModelInput]) -> list[Image]:
    return [
        given if isinstance(given, np.ndarray) else whole_picture(given).pixels for given in inputs
    ]
