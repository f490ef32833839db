"""Record the answers to some validation pictures after each epoch, for `foveal watch`.

`watch/pictures.json` holds the pictures with what is true of them, written before the first epoch;
`watch/epoch-0007.json` how they were answered after epoch 7.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from torch import nn

from foveal.atomic import write_atomic
from foveal.data.cache import Windows
from foveal.render import encode_png, thumbnail
from foveal.tasks.prediction import Prediction
from foveal.train.distributed import Group
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord
from foveal.types import Image, JsonObject, Picture
from foveal.workflow.prepare import Prepared
from foveal.workflow.rundir import RunDirectory, answered_epochs

# Enough to see what changes, few enough that an epoch does not notice: drawing the masks of twelve
# takes 0.2 s on a core of a busy machine.
PICTURES = 12
_SIDE, _QUALITY = 256, 80
# Beyond this every second epoch is forgotten, so that a run of thousands stays small.
EPOCHS_KEPT = 40


@final
class WatchedPictures:
    """Hears every answer of a validation, and writes those to the chosen pictures.

    A callback of the trainer, and what `workflow.validate.Validation` reports to.

    Args:
        prepared: The data.
        windows: Those of the validation split, in the order in which they are validated.
        run: Where to write.
        group: The processes that validate together.
    """

    def __init__(
        self, prepared: Prepared, windows: Sequence[Windows], run: RunDirectory, group: Group
    ) -> None:
        self._prepared = prepared
        self._run = run
        self._has_masks = prepared.task.target_kind == "mask"
        places = [(batch, row) for batch in windows for row in range(len(batch))]
        evenly = np.linspace(0, len(places) - 1, min(PICTURES, len(places)))
        # Position among all windows → position among the chosen ones.
        self._chosen = {round(at): i for i, at in enumerate(evenly)}
        self._windows = [_single(*places[position]) for position in self._chosen]
        self._pixels: list[Image] = []
        self._answers: dict[int, JsonObject] = {}
        self._group = group

    def heard(
        self, position: int, prediction: Prediction, target: Any, row: NDArray[np.float64]
    ) -> None:
        """Take in the answer to a window.

        Args:
            position: Position of the window in the order of validation.
            prediction: The answer, of the uncalibrated network.
            target: The parsed target.
            row: Row from the task's `measure`.
        """
        number = self._chosen.get(position)
        if number is None:
            return
        task = self._prepared.task
        answer: JsonObject = {
            "answer": prediction.text,
            "confidence": round(float(prediction.confidence), 4),
            "right": bool(task.is_correct(row[None])[0]),
        }
        if self._has_masks and self._pixels:
            drawn = prediction.draw(Picture.from_array(self._pixels[number]))
            answer["drawn"] = _data_uri(drawn)
        self._answers[number] = answer

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Write the pictures, and forget the epochs that are trained again."""
        cache = self._prepared.cache
        # Small before anything is drawn on them: drawing costs by the pixel, in every epoch.
        self._pixels = [thumbnail(cache.read(window)[0], _SIDE) for window in self._windows]
        if not (self._group.writes and self._windows):
            return
        self._run.watch.mkdir(exist_ok=True)
        last = history[-1].epoch if history else 0
        for epoch, path in answered_epochs(self._run).items():
            if epoch > last:
                path.unlink()
        pictures = [self._picture(*each) for each in zip(self._windows, self._pixels, strict=True)]
        write_atomic(self._run.pictures, json.dumps({"pictures": pictures}))

    def step_done(self, step: StepRecord) -> None:
        """Ignore."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Write the answers of the epoch."""
        parts = self._group.gather(list(self._answers.items()))
        self._answers = {}
        if not (self._group.writes and self._windows):
            return
        numbered = sorted((each for part in parts for each in part), key=lambda each: each[0])
        answers = [answer for _, answer in numbered]
        value = {"epoch": record.epoch, "answers": answers}
        write_atomic(self._run.watch / f"epoch-{record.epoch:04}.json", json.dumps(value))
        forget_some(self._run)

    def fit_ended(self, result: FitResult) -> None:
        """Ignore."""

    def _picture(self, window: Windows, pixels: Image) -> JsonObject:
        prepared = self._prepared
        sample = prepared.source.samples[int(window.samples[0])]
        raw = sample.raw or ()
        value = {"sample": sample.id, "truth": "|".join(raw), "picture": _data_uri(pixels)}
        if self._has_masks:
            mask = prepared.cache.read_masks(window)[0]
            truth = prepared.task.parse_target(prepared.source.classes, mask)
            drawn = prepared.task.draw_target(Picture.from_array(pixels), truth)
            value |= {"truth": "", "target": _data_uri(drawn)}
        return value


def forget_some(run: RunDirectory) -> None:
    """Remove every second epoch when there are too many; the first and the last stay."""
    kept = list(answered_epochs(run).values())
    if len(kept) > EPOCHS_KEPT:
        for path in kept[1:-1:2]:
            path.unlink()


def _single(windows: Windows, row: int) -> Windows:
    one = slice(row, row + 1)
    return Windows(windows.samples[one], windows.tops[one], windows.lefts[one], windows.size)


def _data_uri(image: Image) -> str:
    if max(image.shape[:2]) <= 64:
        data, kind = encode_png(image), "png"
    else:
        buffer = io.BytesIO()
        PILImage.fromarray(image).save(buffer, "JPEG", quality=_QUALITY)
        data, kind = buffer.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
