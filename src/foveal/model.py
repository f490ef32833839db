"""A trained model in Python: call it, evaluate it, explain it, look inside it, serve it."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.console import NoProgress, Progress
from foveal.data.decode import to_rgb
from foveal.errors import BundleError, FovealError, UsageError
from foveal.predict.copies import small_copy, whole_picture
from foveal.predict.files import Answered, answer_files, expand, failed
from foveal.predict.predictor import Predictor
from foveal.predict.write import write_answers
from foveal.tasks.prediction import Prediction
from foveal.types import Image, JsonObject, Picture, Raster
from foveal.workflow.locate import find_bundle, run_of

if TYPE_CHECKING:
    from foveal.evaluate.evaluate import Evaluation
    from foveal.explain.evidence import Explanation
    from foveal.server.run import ServerHandle

# Side of the copy that stands for a picture too large to be shown.
_COPY_PX = 2048

PictureLike = str | Path | bytes | NDArray[np.uint8] | PILImage.Image


@final
@dataclass(frozen=True)
class Answer:
    """Answer to one picture. It prints as a few words and renders in a notebook.

    Attributes:
        prediction: The prediction of the task (`.label`, `.confidence`, `.unsure`, …).
        record: The answer as JSON values.
        picture: The picture, or a small copy of it.
    """

    prediction: Prediction
    record: JsonObject
    picture: Picture

    @cached_property
    def overlay(self) -> Image:
        """The picture with the answer drawn on it, (H, W, 3) uint8 RGB."""
        return self.prediction.draw(self.picture)

    def __str__(self) -> str:
        """Return the answer as a few words."""
        return self.prediction.headline

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the prediction: `answer.label`, `answer.text`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.prediction, name)

    def _repr_html_(self) -> str:
        from foveal.notebook import answer_html

        return answer_html(self.prediction, self.picture, self.overlay)


@final
class Model:
    """A trained model: a bundle, and the run it came from if there is one.

    Args:
        model: A run, a bundle folder, a `.foveal` file, or `imagenet`.
        max_pixels: Largest height times width of a picture that is decoded; None takes the limit
            of the training.
        max_bytes: Largest size of a file that is decoded; None takes the limit of the training.

    Raises:
        BundleError: If nothing is there, or it is not a bundle.
    """

    def __init__(
        self, model: str | Path, *, max_pixels: int | None = None, max_bytes: int | None = None
    ) -> None:
        """Open and verify the bundle."""
        self.bundle = find_bundle(model)
        self.run = run_of(model)
        given = {"max_pixels": max_pixels, "max_bytes": max_bytes}
        self._limits = replace(
            self.bundle.manifest.limits,
            hint="--max-{} N raises the limit",
            **{name: value for name, value in given.items() if value is not None},
        )

    def __repr__(self) -> str:
        """Name the model, its task and where it lies."""
        return (
            f"Model({self.bundle.name!r}, task={self.bundle.manifest.task!r}, {self.bundle.path})"
        )

    @cached_property
    def predictor(self) -> Predictor:
        """Predictor of the bundle; the network is loaded on first use."""
        return Predictor(self.bundle, limits=self._limits)

    @property
    def metrics(self) -> JsonObject:
        """Metrics on validation, name → `{"value", "low", "high"}` with a 95 % interval."""
        return {name: dict(value) for name, value in self.bundle.manifest.metrics.items()}

    def __call__(self, picture: PictureLike) -> Answer:
        """Answer one picture.

        A TIFF that exceeds the limits is read in parts. Its answer has no heat map, and `.picture`
        and `.overlay` are small copies.

        Args:
            picture: A path, the bytes of a picture file, (H, W, 3) uint8 RGB, or a Pillow image.

        Raises:
            ImageError: If it cannot be decoded.
        """
        raster = self._open(picture)
        fits = self._fits(raster)
        decoded = whole_picture(raster) if fits else small_copy(raster, _COPY_PX)
        start = time.perf_counter()
        prediction = self.predictor.predict([decoded if fits else raster], explain=fits)[0]
        ms = 1000 * (time.perf_counter() - start)
        source = str(picture) if isinstance(picture, (str, Path)) else "picture"
        return Answer(prediction, self.predictor.record(prediction, source, ms), decoded)

    def predict(
        self,
        pictures: Iterable[str | Path],
        *,
        batch_size: int = 32,
        out: str | Path | None = None,
        maps: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[JsonObject]:
        """Yield one JSON record for each picture, in order.

        A picture that cannot be read yields `{"source", "error"}`; the others are answered.

        Args:
            pictures: Paths of files or folders, or globs.
            batch_size: Pictures run through the network together; tiled pictures run one by one.
            out: Folder for `<stem>.png` (the mask, if the model gives masks) and
                `<stem>_overlay.jpg` (the answer drawn on the picture), whose paths are then in the
                records. None writes nothing.
            maps: With `out`: also write the probability of each label in grey, 255 for 1, as
                `<stem>_<label>.png`.
            progress: Receives the progress, if `out` is given.

        Raises:
            UsageError: If `out` cannot be written or contains the pictures themselves, or if `maps`
                is given without `out`.

        Example:
            >>> for record in foveal.predict("runs/segment/cells", ["slides/"], out="masks"):
            ...     record["mask"]["path"]  # doctest: +SKIP
            'masks/slide1.png'
        """
        answers = self.answer_files(
            pictures, batch_size=batch_size, out=out, maps=maps, progress=progress
        )
        return (answered.record for answered in answers)

    def answer_files(
        self,
        pictures: Iterable[str | Path],
        *,
        batch_size: int = 32,
        out: str | Path | None = None,
        maps: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Answered]:
        """Yield the answers whose records `predict` yields."""
        files = expand(pictures)
        if out is not None:
            return write_answers(
                self.predictor,
                list(files),
                Path(out),
                maps=maps,
                batch_size=batch_size,
                progress=progress or NoProgress(),
            )
        if maps:
            raise UsageError(
                "Probability maps are written to a folder, and none is given.",
                hint="--maps --out DIR",
            )
        return answer_files(self.predictor, files, batch_size=batch_size)

    def answer_bytes(self, data: bytes, source: str) -> Answered:
        """Answer the bytes of one picture file; `source` names it in the record."""
        try:
            answer = self(data)
        except FovealError as error:
            return failed(source, error)
        return Answered(source, {**answer.record, "source": source}, answer.prediction)

    def evaluate(
        self,
        data: str | Path,
        *,
        split: str | None = None,
        out: str | Path | None = None,
        label_regex: str | None = None,
        progress: Progress | None = None,
        others: Sequence[Model] = (),
    ) -> Evaluation:
        """Evaluate the model on labelled data, through the code that serves it.

        Args:
            data: Labelled data in any layout that training accepts, or `synth:KIND`.
            split: Use only `train`, `val` or `test`, if the data has these parts.
            out: Folder for report.html, metrics.json and predictions.csv; None writes nothing.
            label_regex: Regular expression that finds the label in a file name: its group `text`,
                or else its first.
            progress: Receives the progress.
            others: Models that vote with this one, each with its own pre-processing.

        Raises:
            DataError: If no labelled picture can be read.
            UsageError: If the voting models differ in task or labels.
        """
        from foveal.workflow.measure import measure

        return measure(
            self.predictor,
            data,
            run=self.run,
            split=split,
            out=Path(out) if out is not None else None,
            progress=progress or NoProgress(),
            label_regex=label_regex,
            others=[other.predictor for other in others],
        )

    def explain(
        self, picture: PictureLike, *, label: str | None = None, method: str = "evidence"
    ) -> Explanation:
        """Explain the answer to a picture with a heat map.

        Args:
            picture: As for calling the model.
            label: Label or character to explain; None explains the answer as a whole (for a text,
                its alignment).
            method: `evidence` (the model's own map) or `occlusion` (slower, independent).

        Raises:
            TargetError: If the model does not know the label.
        """
        from foveal.explain.evidence import explain_evidence, explain_occlusion

        methods = {"evidence": explain_evidence, "occlusion": explain_occlusion}
        if method not in methods:
            raise UsageError(f"Unknown method {method!r}. Expected one of: {', '.join(methods)}.")
        return methods[method](self.predictor, self._picture(picture), label)

    def export(self, to: str, out: str | Path) -> Path:
        """Export the bundle to another format.

        Args:
            to: `onnx` (the network), `foveal` (the bundle as one file), or a format of a plug-in.
            out: File to write, or folder for a format that is a folder.

        Raises:
            UsageError: If there is no such format, or `out` is a folder already.
        """
        from foveal.export.formats import write_as

        return write_as(self.bundle, to, Path(out))

    def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> ServerHandle:
        """Serve the model and its web page in a thread, and return at once.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 chooses a free one.

        Returns:
            A handle with `.url` and `.stop()`.
        """
        from foveal.server.run import start_in_thread

        return start_in_thread({self.bundle.name: self.predictor}, host=host, port=port)

    def history(self) -> list[dict[str, float]]:
        """Return one row for each epoch of the training; empty if the run is not available."""
        if self.run is None or not (self.run / "results.csv").is_file():
            return []
        with (self.run / "results.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [{k: float(v) for k, v in row.items() if _is_number(v)} for row in rows]

    def layers(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Return (name, type, output shape) of every layer of the network. Needs torch."""
        from foveal.explain.layers import list_layers

        return list_layers(self._network, self.bundle.pipeline.example_size)

    def features(self, picture: PictureLike, layer: str) -> NDArray[np.float32]:
        """Return the output of a layer for a picture, without the batch axis. Needs torch.

        Raises:
            UsageError: If the network has no such layer; the message names the nearest.
        """
        from foveal.explain.layers import layer_features

        pixels, _ = self.predictor.prepare(self._picture(picture))
        features: NDArray[np.float32] = layer_features(self._network, pixels[None], layer)[0]
        return features

    @cached_property
    def _network(self) -> Any:
        if "weights.safetensors" not in self.bundle.manifest.files:
            raise BundleError(
                f"{self.bundle.path} has no weights.safetensors, which is needed to look inside."
            )
        from foveal.workflow.network import load_network

        return load_network(self.bundle)

    def _picture(self, picture: PictureLike) -> Picture:
        raster = self._open(picture)
        if not isinstance(raster, Picture):
            self.predictor.limits.check_size(raster.height, raster.width)
        return whole_picture(raster)

    def _fits(self, raster: Raster) -> bool:
        # What is in memory already fits.
        most = self.predictor.limits.max_pixels
        return isinstance(raster, Picture) or raster.height * raster.width <= most

    def _open(self, picture: PictureLike) -> Raster:
        if isinstance(picture, (str, Path, bytes)):
            return self.predictor.open(picture)
        if isinstance(picture, PILImage.Image):
            return Picture.from_array(np.asarray(to_rgb(picture)))
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise UsageError(
                "Invalid picture. Expected (H, W, 3) uint8 RGB. "
                f"Received: {picture.shape} {picture.dtype}."
            )
        return Picture.from_array(picture)

    def _repr_html_(self) -> str:
        from foveal.notebook import model_html

        return model_html(self.bundle)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
