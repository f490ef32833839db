"""Leave pictures out of COCO files, and keep every other character of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from foveal.curation.json_text import elements_of, members_of
from foveal.curation.prepare import Edit, unless_changed
from foveal.data.files_source import FileSource
from foveal.data.names import is_picture_name
from foveal.data.polygons.files import coco_resolver
from foveal.data.readers.listed import read_table


def shape_edits(
    source: FileSource, data: Path, without: Mapping[str, Collection[str]]
) -> Iterator[Edit]:
    """Yield the edits of the files that list the shapes of many pictures.

    Args:
        source: The data.
        data: Their folder.
        without: Name of a file → ids of the samples that are left out of it.

    Raises:
        DataError: If an edit is made whose file has changed since.
    """
    if not without:
        return
    files = source.storage.listing().files
    resolve = coco_resolver(name for name in files if is_picture_name(name))
    for name, samples in without.items():
        before = read_table(source.storage, name)
        content = coco_without(before, samples, partial(resolve, name))
        yield Edit(name, partial(unless_changed, data / name, before, content))


def coco_without(
    data: bytes, samples: Collection[str], resolve: Callable[[str], str | None]
) -> bytes:
    """Return a COCO file without some of its pictures and what is annotated on them.

    Args:
        data: The file.
        samples: Ids of the samples that are left out.
        resolve: From the `file_name` of a picture to the sample's id.
    """
    text = data.decode()
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    members = members_of(text)
    images = members["images"][2]
    gone = {image["id"] for image in images if resolve(image["file_name"]) in samples}
    pieces, at = [mark], 0
    for key, belongs_to in sorted(
        (("images", "id"), ("annotations", "image_id")), key=lambda pair: members[pair[0]][0]
    ):
        start, end, _ = members[key]
        pieces += [text[at:start], _array_without(text, start, end, belongs_to, gone)]
        at = end
    return "".join((*pieces, text[at:])).encode()


def _array_without(text: str, start: int, end: int, key: str, gone: Collection[Any]) -> str:
    """Return an array without the elements whose `key` is among those that are gone."""
    elements = list(elements_of(text, start))
    if not elements:
        return text[start:end]
    kept: list[str] = []
    before = start + 1
    for first, last, value in elements:
        if value.get(key) not in gone:
            # What stands between two elements goes with the second; the first has no comma.
            gap = text[before:first] if kept else text[start + 1 : elements[0][0]]
            kept.append(gap + text[first:last])
        before = last
    return "".join((text[start], *kept, text[elements[-1][1] : end]))
