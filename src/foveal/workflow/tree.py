"""Write split data as class folders, tables, or pictures with masks."""

from __future__ import annotations

import csv
import errno
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.console import Progress
from foveal.curation.names import is_folder_name
from foveal.data.decode import DecodeLimits
from foveal.data.files_source import FileSource
from foveal.data.names import is_picture_name
from foveal.data.source import Sample, Source, TargetKind
from foveal.data.split import UNUSED
from foveal.data.storage import LocalStorage
from foveal.errors import DataError, UsageError
from foveal.machine import available_cores, read_ahead
from foveal.render import encode_png
from foveal.resample import resized
from foveal.types import SPLIT_NAMES, Mask

Link: TypeAlias = Literal["copy", "hard", "symbolic"]
Layout: TypeAlias = Literal["folders", "table", "masks"]
Size: TypeAlias = int | tuple[int, int]
"""Of the longer side in pixels, or height and width."""

# Links take less time than handing one over to a thread.
_BATCH = 32
_TABLE, _IMAGES, _MASKS = "labels.csv", "images", "masks"


@final
@dataclass(frozen=True, slots=True)
class Form:
    """The format in which pictures are written.

    Attributes:
        link: Whether files are copied or linked.
        size: Pictures larger than this are made smaller, or with both sides brought to exactly
            these; None leaves them as they are.
        layout: Class folders, pictures beside a table, or pictures and masks.
        column: Name of the column of labels in a table.
    """

    link: Link
    size: Size | None
    layout: Layout = "folders"
    column: str = "label"


@final
@dataclass(frozen=True, slots=True)
class _Place:
    """The path of a sample below its part, without the file name extension."""

    sample: Sample
    folder: str
    stem: str
    suffix: str

    @property
    def name(self) -> str:
        return f"{self.folder}/{self.stem}{self.suffix}"


def form_of(source: Source, form: Form, target: TargetKind) -> Form:
    """Return the form with a layout that holds what the source's labels are.

    Raises:
        DataError: If a label cannot be the name of a folder.
        UsageError: If links are wanted to what is no file on this machine, or is resized.
    """
    if form.link != "copy":
        if form.size is not None:
            raise UsageError(
                "--size cannot be combined with links, since the pictures are resized.",
                hint="use --link copy",
            )
        if not (isinstance(source, FileSource) and isinstance(source.storage, LocalStorage)):
            raise UsageError(
                f"The pictures of {source.location} are not files, so they cannot be linked.",
                hint="use --link copy",
            )
    if target == "mask":
        return replace(form, layout="masks")
    if target == "text":
        return replace(form, layout="table", column="text")
    if any(sample.raw is not None and len(sample.raw) > 1 for sample in source.samples):
        return replace(form, layout="table")
    for label in {sample.raw[0] for sample in source.samples if sample.raw}:
        if not is_folder_name(label):
            raise DataError(f"The label {label!r} cannot be the name of a class folder.")
    return form


def write_tree(
    source: Source,
    sides: NDArray[np.int8],
    out: Path,
    form: Form,
    limits: DecodeLimits,
    progress: Progress,
) -> None:
    """Write the samples of each side.

    Args:
        source: The data.
        sides: (N,) int8, position in `SPLIT_NAMES`, or `UNUSED`.
        out: An empty folder.
        form: How.
        limits: Limits of files and pictures.
        progress: Receives the progress.

    Raises:
        ImageError: If a picture cannot be read any more.
        UsageError: If this disk cannot hold hard links to those files.
    """
    cores = available_cores()
    total = int((sides != UNUSED).sum())
    write = partial(_write_all, source, out, form, limits)
    progress.start("writing", total)
    done = 0
    for side, name in enumerate(SPLIT_NAMES):
        positions = np.flatnonzero(sides == side).tolist()
        for group in _groups(source, positions, name, form):
            places = _placed(source, group, form)
            (out / group[0]).mkdir(parents=True)
            batches = (places[at : at + _BATCH] for at in range(0, len(places), _BATCH))
            for count in read_ahead(write, batches, workers=cores, ahead=2 * cores):
                done += count
                progress.update(done)
            if form.layout == "table":
                _write_table(out / name / _TABLE, places, form.column)
    if form.layout == "masks":
        names = "".join(f"{label}\n" for label in source.classes)
        (out / "classes.txt").write_text(names, encoding="utf-8")
    progress.finish()


def _groups(
    source: Source, positions: Sequence[int], side: str, form: Form
) -> Iterator[tuple[str, list[int]]]:
    """Yield a folder and what goes there: in groups, so that names need not all be in memory."""
    if not positions:
        return
    if form.layout != "folders":
        yield (f"{side}/{_IMAGES}" if form.layout == "masks" else side), list(positions)
        return
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for position in positions:
        groups[(source.samples[position].raw or ("",))[0]].append(position)
    for label, members in groups.items():
        yield f"{side}/{label}", members


def _placed(source: Source, group: tuple[str, list[int]], form: Form) -> list[_Place]:
    """Give names within one folder; equal ones, also but for case, get numbers."""
    folder, positions = group
    taken: set[str] = set()
    places = []
    for position in positions:
        sample = source.samples[position]
        path = PurePosixPath(sample.id)
        suffix = path.suffix if is_picture_name(path.name) else ""
        stem = path.name.removesuffix(suffix)
        if not isinstance(source, FileSource):
            stem, suffix = sample.id.replace("/", "-"), ".png"
        if form.size is not None:
            suffix = ".png"
        # Masks are told by the stem alone.
        free, number = stem, 1
        while (key := (free if form.layout == "masks" else free + suffix).casefold()) in taken:
            number += 1
            free = f"{stem}-{number}"
        taken.add(key)
        places.append(_Place(sample, folder, free, suffix))
    return places


def _write_all(
    source: Source, out: Path, form: Form, limits: DecodeLimits, places: Sequence[_Place]
) -> int:
    for place in places:
        _write(source, out, form, limits, place)
    return len(places)


def _write(source: Source, out: Path, form: Form, limits: DecodeLimits, place: _Place) -> None:
    path = out / place.name
    if form.size is not None:
        path.write_bytes(encode_png(_sized(source, place.sample, form.size, limits)))
    elif isinstance(source, FileSource) and isinstance(source.storage, LocalStorage):
        _link(source.storage.path.absolute() / place.sample.id, path, form.link)
    else:
        path.write_bytes(source.encoded(place.sample, limits))
    if form.layout == "masks":
        mask = source.mask(place.sample)
        if form.size is not None:
            mask = _mask_of(mask, *_goal(mask.shape[0], mask.shape[1], form.size))
        folder = out / PurePosixPath(place.folder).parent / _MASKS
        folder.mkdir(exist_ok=True)
        PILImage.fromarray(mask).save(folder / f"{place.stem}.png")


def _link(file: Path, path: Path, link: Link) -> None:
    if file.is_symlink():
        # The picture, and not the way to it, which may lead elsewhere from here.
        file = file.resolve()
    if link == "symbolic":
        path.symlink_to(file)
    elif link == "copy":
        shutil.copy2(file, path)
    else:
        try:
            path.hardlink_to(file)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            raise UsageError(
                f"Cannot create a hard link to {file}: {error.strerror}.", hint="use --link copy"
            ) from error


def _sized(source: Source, sample: Sample, size: Size, limits: DecodeLimits) -> NDArray[np.uint8]:
    # A decoder may keep no more than is needed.
    needed = (size, size) if isinstance(size, int) else size
    picture = source.load(sample, limits, needed).picture
    return resized(picture.pixels, *_goal(picture.height, picture.width, size))


def _goal(height: int, width: int, size: Size) -> tuple[int, int]:
    """Return height and width to be; with one number, the aspect ratio is kept."""
    if not isinstance(size, int):
        return size
    scale = min(1.0, size / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _mask_of(mask: Mask, height: int, width: int) -> Mask:
    """Return a mask of another size: each pixel takes the class at its centre."""
    rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
    scaled: Mask = mask[rows][:, columns]
    return scaled


def _write_table(path: Path, places: Sequence[_Place], column: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("image", column))
        for place in places:
            raw = place.sample.raw or ("",)
            table.writerow((place.stem + place.suffix, "|".join(raw)))
