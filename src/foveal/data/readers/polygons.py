"""Pictures with shapes drawn over them: SVG or labelme files of one stem, or COCO's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import ClassVar, final

from foveal.data.decode import DecodeLimits
from foveal.data.findings import plural
from foveal.data.names import SPLIT_ALIASES, is_picture_name
from foveal.data.opening import picture_size
from foveal.data.polygons.coco import CocoPicture
from foveal.data.polygons.files import (
    ShapeFiles,
    coco_resolver,
    find_shape_files,
    find_sides,
    read_coco_files,
)
from foveal.data.polygons.findings import ShapeLook, shape_findings
from foveal.data.polygons.source import Drawings, check_size, read_drawing
from foveal.data.polygons.svg_shapes import FOREGROUND
from foveal.data.readers.base import Place, Reader
from foveal.data.readers.files import foreign_files
from foveal.data.readers.listed import read_table
from foveal.data.source import Sample, Source, SourceOptions
from foveal.data.storage import Storage
from foveal.errors import DataError, ImageError
from foveal.machine import available_cores, read_ahead
from foveal.types import BACKGROUND, IGNORED

# Of a picture that is not on this machine, which is read whole for its size.
_PICTURE_LIMITS = DecodeLimits(max_bytes=4_000_000_000, max_pixels=2_000_000_000)


@final
class PolygonsReader(Reader):
    """Shapes in `.svg` or labelme's `.json` beside the pictures, or one COCO file."""

    name: ClassVar[str] = "polygons"
    expects: ClassVar[str] = "pictures with .svg or labelme .json files, or COCO's JSON"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the pictures with their shapes, or None when masks are not asked for or not there.

        Every drawing is read once: only all of them together tell which classes there are.

        Raises:
            DataError: If it is not clear which shapes belong to a picture, or a COCO file is
                damaged.
        """
        if options.target != "mask":
            return None
        if place.file is not None:
            is_json = PurePosixPath(place.file).suffix.lower() == ".json"
            return _from_coco(place, (place.file,), options.objects) if is_json else None
        files = find_shape_files(partial(read_table, place.storage), place.listing)
        has_files = any(files.files.values())
        if files.coco and has_files:
            raise DataError(
                f"{place.location} contains shapes both in {files.coco[0]} and in other files. "
                "Expected one format.",
                hint=f"foveal train {place.location}/{files.coco[0]}",
            )
        if files.coco:
            return _from_coco(place, files.coco, options.objects)
        return _from_files(place, files, options.objects) if has_files else None


def _from_files(place: Place, files: ShapeFiles, objects: bool) -> Source:
    cores = available_cores()
    look = partial(_look, place.storage)
    looks = list(read_ahead(look, files.files.items(), workers=cores, ahead=8 * cores))
    # A side is the name of a folder, not a part of one.
    ways = {name: "/".join(PurePosixPath(name).parts[:-1]) for name in files.files}
    kinds = {PurePosixPath(file).suffix.lower() for file in files.files.values() if file}
    shown = " and ".join({".svg": "SVG", ".json": "labelme"}[kind] for kind in sorted(kinds))
    return _source(place, looks, files.alone, shown, ways, objects)


def _look(storage: Storage, pair: tuple[str, str | None]) -> ShapeLook:
    picture, file = pair
    if file is None:
        return ShapeLook(picture, None)
    try:
        size = picture_size(storage, picture, _PICTURE_LIMITS)
        drawing = read_drawing(storage, file, picture, size)
    except ImageError as error:
        return ShapeLook(picture, file, error=error)
    return ShapeLook(picture, file, size, drawing)


def _from_coco(place: Place, names: Sequence[str], objects: bool) -> Source | None:
    """Return the source of COCO files, or None when they are none."""
    entries = read_coco_files(partial(read_table, place.storage), names)
    if not entries:
        return None
    pictures = [name for name in place.listing.files if is_picture_name(name)]
    resolve = coco_resolver(pictures)
    found: dict[str, tuple[str, CocoPicture]] = {}
    alone: list[str] = []
    for file, entry in entries:
        name = resolve(file, entry.file)
        if name is None:
            alone.append(entry.file)
        elif name in found:
            raise DataError(
                f"{name} is listed in both {found[name][0]} and {file}.",
                hint=f"foveal train {place.storage.locate(file)}",
            )
        else:
            found[name] = (file, entry)
    if not found:
        raise DataError(
            f"None of the {plural(len(entries), 'picture')} listed in {entries[0][0]} exists: "
            f"{alone[0]!r}, …",
            hint="put the pictures next to it, or into images/",
        )
    looks = [_look_at_coco(place.storage, name, *found[name]) for name in sorted(found)]
    if place.file is None:
        looks += [ShapeLook(name, None) for name in pictures if name not in found]
        looks.sort(key=lambda look: look.picture)
    ways = {name: file for name, (file, _) in found.items()}
    return _source(place, looks, alone, "COCO", ways, objects)


def _look_at_coco(storage: Storage, picture: str, file: str, entry: CocoPicture) -> ShapeLook:
    try:
        if entry.problem is not None:
            raise ImageError(f"{entry.problem}.")
        size = picture_size(storage, picture, _PICTURE_LIMITS)
        check_size(file, entry.drawing, picture, size)
    except ImageError as error:
        return ShapeLook(picture, file, error=error)
    return ShapeLook(picture, file, size, entry.drawing)


def _source(
    place: Place,
    looks: Sequence[ShapeLook],
    alone: Sequence[str],
    kind: str,
    ways: Mapping[str, str],
    objects: bool,
) -> Source:
    drawings = {look.picture: look.drawing for look in looks if look.drawing is not None}
    names, values = _classes(set().union(*(drawing.labels for drawing in drawings.values())))
    splits = find_sides(ways, SPLIT_ALIASES)
    samples = [
        Sample(look.picture, _raw(look, names, values), splits.get(look.picture)) for look in looks
    ]
    masks = Drawings(
        place.storage,
        names,
        values,
        sizes={look.picture: look.size for look in looks if look.size is not None},
        files={look.picture: look.file for look in looks if look.drawing and look.file},
        drawings=drawings if kind == "COCO" else {},
        lists=dict(ways) if kind == "COCO" else {},
        objects=objects,
    )
    others = [name for name in place.listing.files if not name.lower().endswith(".svg")]
    findings = (*shape_findings(looks, alone), *foreign_files(others))
    return place.source(_layout(samples, kind, names), samples, findings, masks)


def _classes(labels: Iterable[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the names of the classes, the background first, and the value of each label."""
    drawn = sorted(set(labels) - {BACKGROUND})
    names = (BACKGROUND, *drawn)
    if len(drawn) == 1 and drawn[0].startswith("#"):
        # One colour tells nothing apart, so it is no name.
        names = (BACKGROUND, FOREGROUND)
    if len(names) > IGNORED:
        raise DataError(
            f"The shapes have {len(names):,} labels: {', '.join(drawn[:5])}, … "
            f"Expected at most {IGNORED}.",
            hint="give shapes of one kind the same name: nucleus, or nucleus_1, nucleus_2, …",
        )
    return names, {BACKGROUND: 0, **{label: value for value, label in enumerate(drawn, 1)}}


def _raw(
    look: ShapeLook, names: Sequence[str], values: Mapping[str, int]
) -> tuple[str, ...] | None:
    if look.drawing is None:
        return None
    present = {0, *(values[label] for label in look.drawing.labels)}
    return tuple(names[value] for value in sorted(present))


def _layout(samples: Sequence[Sample], kind: str, names: Sequence[str]) -> str:
    labelled = sum(sample.raw is not None for sample in samples)
    words = f"{plural(len(samples), 'picture')}"
    if labelled != len(samples):
        words += f", {labelled:,}" if labelled else ", none"
    words += f" with shapes ({kind}): {', '.join(names[1:6]) or 'nothing drawn'}"
    return words + (", …" if len(names) > 6 else "")
