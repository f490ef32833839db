"""The pictures of a review, encoded on request: thumbnails, large ones, evidence maps."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits
from foveal.data.files_source import FileSource
from foveal.data.headers import read_header
from foveal.data.source import Sample, Source
from foveal.data.stamp import stamp_of
from foveal.errors import TargetError
from foveal.explain.evidence import Explanation, explain_evidence
from foveal.predict.predictor import Predictor
from foveal.render import encode_png, thumbnail
from foveal.render.masks import palette
from foveal.types import BACKGROUND, IGNORED, Image, JsonObject, Picture

# Twice the largest tile, for screens of two pixels for one.
THUMBNAIL_PX = 360
LARGE_PX = 1600
# 4000 thumbnails: what was seen lately need not be decoded again.
_KEPT_BYTES = 64 * 1024 * 1024
# Ink and drawings of this size are shown enlarged, where the marks of JPEG would be seen.
_LOSSLESS_PIXELS = 128 * 128
_QUALITY = 85


@final
@dataclass(frozen=True)
class Encoded:
    """A picture file.

    Attributes:
        data: The file.
        media_type: Its type.
    """

    data: bytes
    media_type: str


@final
class Pictures:
    """Encodes the pictures of a source, and keeps the latest of them within bounds.

    Args:
        source: The pictures.
        limits: What is too large to be decoded.
        predictor: Explains its answers; None for no evidence maps.
    """

    def __init__(self, source: Source, limits: DecodeLimits, predictor: Predictor | None) -> None:
        self.source, self.predictor = source, predictor
        self._limits = limits
        self._kept: OrderedDict[str, Encoded] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def stamp(self, number: int, form: str) -> str:
        """Return what changes when the file of a picture does: a strong ETag with its quotes."""
        one = replace(self.source, samples=(self.source.samples[number],))
        return f'"{form}-{stamp_of(one)}"'

    def thumbnail(self, number: int, stamp: str, *, outlined: bool) -> Encoded:
        """Return a small picture; see `large`."""
        return self._remembered(stamp, lambda: self._encoded(number, THUMBNAIL_PX, outlined))

    def large(self, number: int, stamp: str, *, outlined: bool) -> Encoded:
        """Return a picture as large as a page shows it.

        Args:
            number: Position in the source.
            stamp: From `stamp`, of this form of the picture.
            outlined: Whether the outlines of its mask are drawn on it.

        Raises:
            ImageError: If it cannot be read or decoded.
        """
        return self._remembered(stamp, lambda: self._encoded(number, LARGE_PX, outlined))

    def evidence(self, number: int, stamp: str, label: str | None) -> Encoded:
        """Return a picture under the evidence for a label, or as the model's answer is drawn.

        Raises:
            ImageError: If it cannot be read or decoded.
        """
        return self._remembered(
            stamp, lambda: _encode(_shrunk(self._explained(number, label).overlay, LARGE_PX))
        )

    def facts(self, number: int) -> JsonObject:
        """Return what is known of a picture, and what the model answers.

        Raises:
            ImageError: If it cannot be read or decoded.
        """
        sample = self.source.samples[number]
        picture = self._load(sample, THUMBNAIL_PX)
        facts: JsonObject = {"width": picture.width, "height": picture.height}
        if isinstance(self.source, FileSource):
            data = self.source.encoded(sample, self._limits)
            facts |= {"bytes": len(data), "format": read_header(data).format}
        if self.predictor is not None:
            prediction = self.predictor.predict([self._load(sample, None)])[0]
            facts["answer"] = prediction.headline
        return facts

    def _explained(self, number: int, label: str | None) -> Explanation:
        if self.predictor is None:
            raise ValueError("there is no model")
        picture = self._load(self.source.samples[number], None)
        try:
            return explain_evidence(self.predictor, picture, label)
        except TargetError:
            # The model was trained on other classes.
            return explain_evidence(self.predictor, picture)

    def _load(self, sample: Sample, side: int | None) -> Picture:
        # Half of it: a JPEG is decoded at no less than twice that.
        least = None if side is None else (side // 2, side // 2)
        return self.source.load(sample, self._limits, least).picture

    def _encoded(self, number: int, side: int, outlined: bool) -> Encoded:
        sample = self.source.samples[number]
        image = _shrunk(self._load(sample, side).pixels, side)
        if outlined and self.source.classes:
            image = _outlined(image, self.source.mask(sample), self.source.classes)
        return _encode(image)

    def _remembered(self, key: str, make: Callable[[], Encoded]) -> Encoded:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._kept_bytes += len(made.data)
            while self._kept_bytes > _KEPT_BYTES:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= len(dropped.data)
        return made


def _shrunk(image: Image, side: int) -> Image:
    return image if max(image.shape[:2]) <= side else thumbnail(image, side)


def _encode(image: Image) -> Encoded:
    if image.shape[0] * image.shape[1] <= _LOSSLESS_PIXELS:
        return Encoded(encode_png(image), "image/png")
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=_QUALITY)
    return Encoded(data, "image/jpeg")


def _outlined(image: Image, mask: NDArray[np.uint8], classes: tuple[str, ...]) -> Image:
    """Draw the borders between the classes of a mask on a picture of any scale."""
    height, width = image.shape[:2]
    small = PILImage.fromarray(mask).resize((width, height), PILImage.Resampling.NEAREST)
    values = np.asarray(small)
    border = np.zeros((height, width), np.bool_)
    for axis in (0, 1):
        changes = np.diff(values, axis=axis) != 0
        after = [(0, 0), (0, 0)]
        before = [(0, 0), (0, 0)]
        after[axis], before[axis] = (1, 0), (0, 1)
        border |= np.pad(changes, after) | np.pad(changes, before)
    # A border has two sides: the one that is not the background gives its colour.
    colors = np.full((256, 3), 255, np.uint8)
    colors[: len(classes)] = palette(classes)
    shown = values.copy()
    ground = classes.index(BACKGROUND) if BACKGROUND in classes else IGNORED
    inside = border & (values != ground)
    drawn = image.copy()
    drawn[border & ~inside] = 255
    drawn[inside] = colors[shown[inside]]
    return drawn
