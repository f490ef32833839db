"""Pictures with expected answers, with which an app checks itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import PurePath
from typing import final

from PIL import Image as PILImage

from foveal.bundle.bundle import Bundle
from foveal.data.decode import decode
from foveal.export.job import Pictures
from foveal.predict.predictor import Predictor
from foveal.types import JsonObject, Picture

COUNT = 8
# Photographs of full size would be waited for on a phone.
_LONGEST = 1024
_QUALITY = 88


@final
@dataclass(frozen=True, slots=True)
class Check:
    """A picture with the answer that is expected of it.

    Attributes:
        name: What the file is called in the app.
        data: Its content.
        expected: `text`, `confidence` and `unsure`.
    """

    name: str
    data: bytes
    expected: JsonObject


def choose_checks(predictor: Predictor, pictures: Pictures) -> Iterator[Check]:
    """Yield validation pictures, evenly spread over their order.

    They are written anew, scaled down to 1024 pixels and without what cameras note beside the
    picture, such as the place; the answer is that of the bundle to what is written.
    """
    step = max(1, len(pictures.val) // COUNT)
    # The others follow, for what cannot be read.
    others = [sample for i, sample in enumerate(pictures.val) if i % step]
    files = pictures.files([*pictures.val[::step], *others])
    for number, (name, data) in enumerate(islice(files, COUNT), 1):
        is_png = PurePath(name).suffix.lower() == ".png"
        written = _rewritten(decode(data, pictures.limits), is_png=is_png)
        yield _check(predictor, f"{number}.{'png' if is_png else 'jpg'}", written)


def drawn_checks(bundle: Bundle) -> Iterator[Check]:
    """Yield the inputs that a bundle carries to show that it answers alike; none in old ones."""
    if bundle.proof is None:
        return
    predictor = Predictor(bundle)
    for number, pixels in enumerate(bundle.proof.inputs[:COUNT], 1):
        written = _rewritten(Picture.from_array(pixels), is_png=True)
        yield _check(predictor, f"{number}.png", written)


def _check(predictor: Predictor, name: str, data: bytes) -> Check:
    (answer,) = predictor.predict([predictor.decode(data)])
    return Check(
        name,
        data,
        {"text": answer.text, "confidence": answer.confidence, "unsure": answer.unsure},
    )


def _rewritten(picture: Picture, *, is_png: bool) -> bytes:
    image = PILImage.fromarray(picture.pixels)
    image.thumbnail((_LONGEST, _LONGEST))
    file = BytesIO()
    if is_png:
        image.save(file, "PNG", optimize=True)
    else:
        image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
