"""The answer to one picture, in Python and on the command line."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.atomic import atomic_path, write_atomic
from foveal.errors import FovealError, ImageError, UsageError
from foveal.foreign import missing_attribute, spelled
from foveal.predict.copies import small_copy, whole_picture
from foveal.predict.inputs import Given, Member, file_bytes, refuse_empty
from foveal.predict.predictor import Predictor
from foveal.render.masks import read_numbers
from foveal.tasks.base import Task
from foveal.tasks.prediction import Prediction
from foveal.types import Image, JsonObject, Mask, Numbers, Picture, Raster

# Side of the copy that stands for a picture too large to be shown.
_COPY_PX = 2048


class Probabilities(NDArray[np.float32]):
    """One probability for each class, (C,) float32, in the order of `model.labels`."""

    def __repr__(self) -> str:
        """Return a summary in one line."""
        shown = np.array2string(np.asarray(self), separator=", ", precision=4, threshold=10)
        return f"Probabilities({' '.join(shown.split())})"

    @property
    def top1(self) -> int:
        """Position of the most likely class."""
        return int(np.asarray(self).argmax())

    @property
    def top5(self) -> list[int]:
        """Positions of the five most likely classes, most likely first."""
        return [int(i) for i in np.argsort(-np.asarray(self), kind="stable")[:5]]

    @property
    def top1conf(self) -> float:
        """Probability of the most likely class."""
        return float(np.asarray(self).max())


@final
@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """The answer to one picture. `str` gives a short text; a notebook shows the picture.

    It has all attributes of its prediction, such as `answer.label`, `answer.text` or
    `answer.characters`. The answer to a picture that cannot be read has an `error`, which is raised
    when another attribute is used. It is pickled without its model: one of several, which keeps no
    picture, cannot be drawn any more.

    Attributes:
        source: The path of the picture, as it was given.
        record: The answer as JSON values, or a dict with the keys `source` and `error`.
        error: Why there is no answer, or None.

    Example:
        >>> answer = foveal.load("runs/classify/photos")("cat.jpg")  # doctest: +SKIP
        >>> answer.label, answer.confidence, answer.unsure  # doctest: +SKIP
        ('cat', 0.981, False)
        >>> answer.top(2)  # doctest: +SKIP
        [('cat', 0.981), ('dog', 0.019)]
    """

    source: str
    record: JsonObject
    error: FovealError | None
    _given: Given
    # None of an answer that was pickled: a network stays in its process.
    _predictor: Predictor | None
    _task: Task
    _prediction: Prediction | None
    # The picture, and the prediction that can be drawn on it.
    _shown: tuple[Picture, Prediction] | None = field(default=None)

    @property
    def prediction(self) -> Prediction:
        """The prediction of the task. Its maps are kept only if a single picture was answered."""
        if self._prediction is None:
            raise self.error or FovealError(f"{self.source} has no answer.")
        return self._prediction

    @property
    def confidence(self) -> float:
        """Confidence of the answer, in [0, 1]."""
        return self.prediction.confidence

    @property
    def unsure(self) -> bool:
        """Whether a person should look at the picture."""
        return self.prediction.unsure

    @property
    def text(self) -> str:
        """The class, the text, or the labels of a mask with their shares."""
        return self.prediction.text

    @property
    def scores(self) -> Mapping[str, float]:
        """Class → probability, most likely first; empty for texts and masks."""
        return self.prediction.scores

    @property
    def probs(self) -> Probabilities:
        """One probability for each class, (C,) float32, in the order of `model.labels`."""
        self._needs_scores("probs")
        scores, labels = self.scores, self._task.labels.names
        return np.array([scores[name] for name in labels], np.float32).view(Probabilities)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the most likely classes with their probabilities, most likely first."""
        self._needs_scores("top()")
        return list(self.scores.items())[:count]

    @property
    def mask(self) -> Mask | None:
        """(H, W) uint8 positions in `model.labels`, original pixels; None if there is no mask."""
        kept = self.prediction.mask
        if kept is not None or "mask" not in self.record:
            return kept
        # Of several answers only the compressed masks are kept.
        stored = self.record["mask"]
        file: Any = stored.get("path") or io.BytesIO(base64.b64decode(stored["png_b64"]))
        with PILImage.open(file) as image:
            return np.asarray(image)

    @property
    def numbers(self) -> Numbers | None:
        """(H, W) int32 number of the object at each pixel, from 1; None if they are not told apart.

        Number i + 1 is the i-th of `record["instances"]`.
        """
        kept = self.prediction.numbers
        stored = self.record.get("mask", {})
        if kept is not None or not {"instances_path", "instances_png_b64"} & stored.keys():
            return kept
        file: Any = stored.get("instances_path")
        return read_numbers(file or io.BytesIO(base64.b64decode(stored["instances_png_b64"])))

    @property
    def picture(self) -> Picture:
        """The picture, or a small copy of it; it is read again if it is not in memory."""
        return self._look()[0]

    @property
    def overlay(self) -> Image:
        """The picture with the answer drawn on it, (H, W, 3) uint8 RGB."""
        picture, prediction = self._look()
        return prediction.draw(picture)

    def heat(self, label: str | None = None) -> NDArray[np.float32]:
        """Return the evidence for a label over the picture; see `Prediction.heat`."""
        return self._look()[1].heat(label)

    def plot(self, ax: Any = None) -> Any:
        """Draw the picture with its answer.

        Args:
            ax: matplotlib axes to draw on; None creates new ones.

        Returns:
            The axes, or a Pillow image if matplotlib is not installed.
        """
        try:
            from matplotlib import pyplot
        except ImportError:
            return PILImage.fromarray(self.overlay)
        ax = pyplot.subplots()[1] if ax is None else ax
        ax.imshow(self.overlay)
        ax.set_title(str(self))
        ax.set_axis_off()
        return ax

    def show(self) -> None:
        """Show the picture with its answer in the notebook or in the system's image viewer."""
        from foveal.progress import in_notebook

        if in_notebook():
            from IPython.display import display

            display(self)  # type: ignore[no-untyped-call]
        else:
            PILImage.fromarray(self.overlay).show(title=str(self))

    @spelled
    def save(self, path: str | Path) -> Path:
        """Write the picture with its answer, or the record if the path ends in `.json`.

        Args:
            path: File to write: `.jpg`, `.png`, …, or `.json`.

        Raises:
            UsageError: If the extension is unknown, or the file cannot be written.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.suffix.lower() == ".json":
                write_atomic(target, json.dumps(self.record, ensure_ascii=False, indent=1) + "\n")
                return target
            image = PILImage.fromarray(self.overlay)
            with atomic_path(target) as temporary:
                image.save(temporary, PILImage.registered_extensions()[target.suffix.lower()])
        except KeyError:
            raise UsageError(
                f"Cannot write {target}: unknown file extension. Expected an extension such as "
                ".png, .jpg or .json.",
                hint=f'answer.save("{target.with_suffix(".png")}")',
            ) from None
        except OSError as error:
            raise UsageError(f"Cannot write {target}: {error.strerror or error}.") from error
        return target

    def to_json(self) -> JsonObject:
        """Return `record`, the answer as JSON values."""
        return self.record

    def light(self) -> Answer:
        """Return the answer without its maps, which can be computed again from the picture."""
        if self._prediction is None:
            return self
        return replace(self, _prediction=self._prediction.without_maps(), _shown=None)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle all but the model and the picture as given, which may be an open archive."""
        return {**self.__dict__, "_predictor": None, "_given": Given(self.source, self.source)}

    def __str__(self) -> str:
        """Return the answer as a short text."""
        if self.error is not None:
            return f"error: {self.error.message}"
        return self.prediction.headline

    def __repr__(self) -> str:
        """Return a summary in one line."""
        return f"Answer({str(self)!r}, source={self.source!r})"

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the prediction: `answer.label`, `answer.text`."""
        if name.startswith("_"):
            raise AttributeError(name)
        prediction = self.prediction
        try:
            return getattr(prediction, name)
        except AttributeError:
            kind = f"answer of the task {self._task.name}"
            raise missing_attribute("answer", kind, name, dir(self)) from None

    def __dir__(self) -> list[str]:
        """Return the names of the attributes, including those of the prediction."""
        own = set(object.__dir__(self)) | set(dir(self._prediction))
        return sorted(name for name in own if not name.startswith("_"))

    def __iter__(self) -> NoReturn:
        """Raise a TypeError that says what to type instead of a loop."""
        raise TypeError(
            "One picture has one answer, not a list: use answer.label, answer.confidence, "
            "answer.top(5) or answer.probs; model([picture]) gives a list."
        )

    def __getitem__(self, key: object) -> NoReturn:
        """Raise a TypeError that says what to type instead of an index."""
        self.__iter__()

    def _repr_html_(self) -> str:
        from html import escape

        from foveal.predict.cards import answer_html

        if self.error is not None:
            return f"<p>{escape(self.source)}: {escape(self.error.message)}</p>"
        picture, prediction = self._look()
        return answer_html(prediction, picture, prediction.draw(picture))

    def _needs_scores(self, what: str) -> None:
        if not self.scores:
            raise UsageError(
                "Only classification has probabilities: an answer of the task "
                f"{self._task.name} has no {what}.",
                hint="answer.text, answer.confidence",
            )

    def _look(self) -> tuple[Picture, Prediction]:
        if self._shown is not None:
            return self._shown
        if self.error is not None:
            raise self.error
        if self._predictor is None:
            raise UsageError(
                "This answer was pickled, so that it has no model to look at the picture with.",
                hint="foveal.load(MODEL).predict(answer.source)",
            )
        return explained(self._predictor, open_given(self._predictor, self._given))


def answer_one(predictor: Predictor, given: Given) -> Answer:
    """Answer one picture, and keep the maps that explain the answer.

    A TIFF that exceeds the limits is read in parts. Its answer has no heat map, and `.picture`
    and `.overlay` are small copies.

    Raises:
        ImageError: If the picture cannot be decoded.
    """
    raster = open_given(predictor, given)
    start = time.perf_counter()
    picture, prediction = explained(predictor, raster)
    ms = 1000 * (time.perf_counter() - start)
    record = predictor.record(prediction, given.source, ms)
    return Answer(
        given.source,
        record,
        None,
        given,
        predictor,
        predictor.task,
        prediction,
        _shown=(picture, prediction),
    )


def open_given(predictor: Predictor, given: Given) -> Raster:
    """Open a picture.

    Raises:
        ImageError: If the picture cannot be decoded.
    """
    if isinstance(given.content, Picture):
        return given.content
    if isinstance(given.content, (Member, ImageError)):
        return predictor.open(file_bytes(given.content, predictor.limits))
    refuse_empty(given.content)
    return predictor.open(given.content)


def explained(predictor: Predictor, raster: Raster) -> tuple[Picture, Prediction]:
    """Return a picture, or a small copy of one that exceeds the limits, and its prediction."""
    fits = isinstance(raster, Picture) or (
        raster.height * raster.width <= predictor.limits.max_pixels
    )
    shown = whole_picture(raster) if fits else small_copy(raster, _COPY_PX)
    return shown, predictor.predict([shown if fits else raster], explain=fits)[0]


def failed(predictor: Predictor, given: Given, error: FovealError) -> Answer:
    """Return the answer that stands for a picture that could not be answered."""
    record = {"source": given.source, "error": error.to_json()}
    return Answer(given.source, record, error, given, predictor, predictor.task, None)
