"""The shapes of the pictures of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import final

from foveal.data.decode import DecodeLimits
from foveal.data.polygons.labelme import read_labelme
from foveal.data.polygons.regions import Drawing, rasterise, rasterise_apart
from foveal.data.polygons.svg_shapes import read_svg
from foveal.data.storage import Storage
from foveal.errors import ImageError
from foveal.types import Mask

SIZE_MISMATCH = "size_mismatch"
"""Code of the error for shapes that were drawn over a picture of another size."""

_SHAPE_LIMITS = DecodeLimits(max_bytes=200_000_000, max_pixels=1)


@final
@dataclass(frozen=True)
class Drawings:
    """At most one drawing for each picture.

    Attributes:
        storage: Where they are.
        classes: Their positions are the values of the masks.
        values: Label of a shape → value; more than `classes` if several labels mean one class.
        sizes: Sample id → (height, width) in pixels, of those with a drawing that can be used.
        files: Sample id → name of the file with its shapes.
        drawings: Sample id → its shapes, where a file holds those of many pictures.
        lists: Sample id → name of the file that holds those of many pictures.
        objects: Whether shapes that touch are kept apart.
    """

    storage: Storage
    classes: tuple[str, ...]
    values: Mapping[str, int]
    sizes: Mapping[str, tuple[int, int]]
    files: Mapping[str, str]
    drawings: Mapping[str, Drawing]
    lists: Mapping[str, str]
    objects: bool = False

    def read(self, id: str) -> Mask | None:
        """Draw the shapes of a sample; see `foveal.data.files_source.Masks`."""
        size = self.sizes.get(id)
        if size is None:
            return None
        drawing = self.drawings.get(id)
        if drawing is None:
            drawing = read_drawing(self.storage, self.files[id], id, size)
        try:
            # What was not there when the source was opened has no value.
            draw = rasterise_apart if self.objects else rasterise
            return draw(drawing.regions, *size, self.values)
        except KeyError as error:
            raise ImageError(
                f"The shapes of {id} have changed: {error.args[0]!r} is new."
            ) from error

    def file(self, id: str) -> str | None:
        """Return the name of the file with the shapes of a sample, where it has one of its own."""
        return None if self.lists else self.files.get(id)

    def list_of(self, id: str) -> str | None:
        """Return the name of the file that lists a sample with others."""
        return self.lists.get(id)


def read_drawing(storage: Storage, file: str, picture: str, size: tuple[int, int]) -> Drawing:
    """Return the shapes in a file, in pixels of the picture that they were drawn over.

    Args:
        storage: Where the files are.
        file: Name of an SVG or a labelme file.
        picture: Name of the picture.
        size: (height, width) of the picture.

    Raises:
        ImageError: If they cannot be read, or were drawn over a picture of another size.
    """
    data = storage.read(file, _SHAPE_LIMITS)
    if PurePosixPath(file).suffix.lower() == ".svg":
        return read_svg(file, data, *size)
    drawing = read_labelme(file, data)
    if drawing is None:
        raise ImageError(f"{file} is not a labelme file: its list of shapes is missing.")
    check_size(file, drawing, picture, size)
    return drawing


def check_size(file: str, drawing: Drawing, picture: str, size: tuple[int, int]) -> None:
    """Refuse shapes that were drawn over a picture of another size.

    Raises:
        ImageError: With the code `size_mismatch`, when the file states another size.
    """
    stated = drawing.size
    if stated is None or stated == size:
        return
    is_turned = stated == size[::-1]
    raise ImageError(
        f"{file} was drawn on a picture of {stated[1]} x {stated[0]} pixels. "
        f"Expected {size[1]} x {size[0]}, the size of {picture}.",
        hint="the picture is rotated by its EXIF orientation: save it upright"
        if is_turned
        else "use the picture that the shapes were drawn on",
        code=SIZE_MISMATCH,
    )
