"""Write answers as files: masks, overlays and maps."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.console import Progress
from foveal.destination import check_folder, writing
from foveal.errors import UsageError
from foveal.predict.answer import Answer
from foveal.predict.files import Drawing, Sketch, answer_sketched
from foveal.predict.inputs import Given
from foveal.predict.predictor import Predictor
from foveal.render import encode_png
from foveal.render.masks import mask_png, numbers_png
from foveal.types import Image

# Longer side of a drawn answer: more than a screen shows at once.
_OVERLAY_PX = 2048
_OVERLAY = "_overlay.jpg"
_MASK = ".png"
_INSTANCES = "_instances.png"


def write_answers(
    predictor: Predictor,
    pictures: Sequence[Given],
    out: Path,
    *,
    maps: bool,
    batch_size: int,
    progress: Progress,
) -> Iterator[Answer]:
    """Answer pictures, write each answer to a folder, and yield it with the paths.

    `<stem>.png` is the mask, if the task predicts one, `<stem>_instances.png` the numbers of the
    objects, if it tells them apart, and `<stem>_overlay.jpg` the answer drawn on
    a copy of the picture. A second picture with the same stem becomes `<stem>-2`.

    Args:
        predictor: Answers the pictures.
        pictures: The given pictures.
        out: The folder, which is created if it does not exist. Earlier answers are replaced.
        maps: Also write the probability map of each label as `<stem>_<label>.png`, in grey levels
            from 0 to 255.
        batch_size: Number of pictures in one run of the network.
        progress: Receives the progress.

    Raises:
        UsageError: If the folder cannot be written to or contains the pictures themselves, or maps
            are requested from a bundle without masks.
    """
    if maps and not predictor.pipeline.is_tiled:
        raise UsageError(
            f"{predictor.bundle.name} predicts no masks, so there are no probability maps.",
            hint="foveal explain MODEL PICTURE shows what an answer is based on",
        )
    check_folder(out)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    place = out.resolve()
    files = (Path(given.content) for given in pictures if isinstance(given.content, str))
    if any(file.resolve().parent == place for file in files):
        raise UsageError(
            f"Answers would overwrite the pictures in {out}.",
            hint=f"use --out {shlex.quote(str(out / 'answers'))}",
        )
    writer = _Writer(predictor, out, maps=maps)
    return _written(writer, pictures, batch_size, progress)


def _written(
    writer: _Writer, pictures: Sequence[Given], batch_size: int, progress: Progress
) -> Iterator[Answer]:
    drawing = Drawing(_OVERLAY_PX, writer.maps)
    progress.start("predict", len(pictures))
    try:
        answers = answer_sketched(
            writer.predictor, pictures, batch_size=batch_size, drawing=drawing
        )
        for done, (answer, sketch) in enumerate(answers, 1):
            written = answer if sketch is None else writer.write(answer, sketch)
            progress.update(done)
            yield written
    finally:
        progress.finish()


@final
@dataclass
class _Writer:
    """Writes the files of one answer after another."""

    predictor: Predictor
    out: Path
    maps: bool = field(kw_only=True)
    _taken: set[str] = field(default_factory=set)

    def write(self, answer: Answer, sketch: Sketch) -> Answer:
        """Write the files of an answer; return it with their paths in its record.

        Raises:
            UsageError: If the folder cannot be written.
        """
        prediction = answer.prediction
        record, labels = dict(answer.record), self.predictor.task.labels.names
        drawn = _jpeg(sketch.prediction.draw(sketch.copy))
        endings = _map_endings(labels) if self.maps else {}
        others = [_MASK, _OVERLAY] + ([_INSTANCES] if prediction.numbers is not None else [])
        stem = self._free_stem(Path(answer.source).stem, [*others, *endings.values()])
        if prediction.mask is not None:
            mask = mask_png(prediction.mask, labels)
            record["mask"] = {"path": self._save(stem + _MASK, mask)}
        if prediction.numbers is not None:
            numbers = numbers_png(prediction.numbers)
            record["mask"]["instances_path"] = self._save(stem + _INSTANCES, numbers)
        record["overlay"] = {"path": self._save(stem + _OVERLAY, drawn)}
        if self.maps:
            record["maps"] = {
                label: {"path": self._save(stem + ending, _map(prediction.heat(label)))}
                for label, ending in endings.items()
            }
        return replace(answer, record=record)

    def _free_stem(self, stem: str, endings: Sequence[str]) -> str:
        """Return the first of `stem`, `stem-2`, … none of whose files is another picture's."""
        free, number = stem, 1
        # Some file systems do not tell upper from lower case.
        while self._taken & (names := {(free + ending).casefold() for ending in endings}):
            number += 1
            free = f"{stem}-{number}"
        self._taken |= names
        return free

    def _save(self, name: str, content: bytes) -> str:
        path = self.out / name
        with writing(path):
            path.write_bytes(content)
        return str(path)


def _map_endings(labels: Sequence[str]) -> dict[str, str]:
    """Return the end of a file's name for the map of each label."""
    endings: dict[str, str] = {}
    for position, label in enumerate(labels):
        ending = "_" + re.sub(r"[^\w.-]+", "_", label) + ".png"
        if ending.casefold() in {other.casefold() for other in endings.values()}:
            ending = f"_{position}{ending}"
        endings[label] = ending
    return endings


def _jpeg(image: Image) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(image).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _map(heat: NDArray[np.float32]) -> bytes:
    grey = np.empty(heat.shape, np.uint8)
    np.rint(heat * np.float32(255), out=grey, casting="unsafe")
    return encode_png(grey)
