"""Pictures and masks of one stem, in folders side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from foveal.data.findings import plural
from foveal.data.masks.findings import (
    classes_in,
    content_findings,
    fits,
    ignored_white,
    pair_findings,
    size_mismatch,
    unknown_in,
    unknown_values,
    unreadable,
)
from foveal.data.masks.meaning import find_values, needs_colors
from foveal.data.masks.names import NAME_FILES, MaskNames, parse_names
from foveal.data.masks.pairs import MaskPairs, find_pairs
from foveal.data.masks.scan import MaskLook, look_at_masks
from foveal.data.masks.source import MaskFiles
from foveal.data.masks.values import MaskValues
from foveal.data.names import SPLIT_ALIASES
from foveal.data.readers.base import Place, Reader
from foveal.data.readers.files import foreign_files
from foveal.data.readers.listed import read_table
from foveal.data.readers.rows import decode_table
from foveal.data.source import Sample, Source, SourceOptions
from foveal.data.storage import Listing, Storage


@final
class MasksReader(Reader):
    """`images/` and `masks/`, with or without the sides of a split; nnU-Net's `imagesTr/`."""

    name: ClassVar[str] = "masks"
    expects: ClassVar[str] = "images/ and masks/ with files of the same names"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the pictures with their masks, or None when masks are not asked for or not there.

        Every mask is decoded once: only all of them together tell what their values mean.

        Raises:
            DataError: If the values of the masks can be no classes.
        """
        if options.target != "mask" or place.file is not None:
            return None
        storage, listing = place.storage, place.listing
        pairs = find_pairs(listing, SPLIT_ALIASES)
        if pairs is None:
            return None
        names = _find_names(storage, listing, pairs.roots)
        looks = _look(storage, pairs, names, options)
        counts = [look.count for look in looks if look.count is not None]
        values = find_values(counts, names) if counts else MaskValues("ids", {})
        used = [k for k in looks if k.count and fits(k) and not unknown_in(k, values)]
        samples = _samples(pairs, used, values)
        findings = (
            *pair_findings(pairs),
            *unreadable(looks),
            *size_mismatch(looks),
            *unknown_values(looks, values, names.file if names else None),
            *ignored_white(looks, values, is_named=names is not None),
            *content_findings(samples, used, values),
            *foreign_files(place.names),
        )
        files = {look.sample: look.mask for look in used}
        masks = MaskFiles(storage, files, values, options.limits, options.objects)
        return place.source(_layout(samples, values), samples, findings, masks)


def _find_names(storage: Storage, listing: Listing, roots: Sequence[str]) -> MaskNames | None:
    """Return the names beside the folders of pictures, or above them."""
    files = {name.lower(): name for name in listing.files}
    for root in roots:
        for name in NAME_FILES:
            file = files.get(root.lower() + name)
            if file is None:
                continue
            names = parse_names(file, decode_table(file, read_table(storage, file)))
            if names is not None:
                return names
    return None


def _look(
    storage: Storage, pairs: MaskPairs, names: MaskNames | None, options: SourceOptions
) -> list[MaskLook]:
    masks = {sample: mask for sample, mask in pairs.masks.items() if mask is not None}
    limits = options.limits
    if options.objects:
        return look_at_masks(storage, masks, limits, as_colors=False, objects=True)
    by_names = names is not None and names.are_colors
    looks = look_at_masks(storage, masks, limits, as_colors=by_names)
    counts = [look.count for look in looks if look.count is not None]
    if by_names or not needs_colors(counts, names):
        return looks
    # Palettes among colours, which is known only now: their colours count, not their positions.
    return look_at_masks(storage, masks, limits, as_colors=True)


def _samples(pairs: MaskPairs, used: Sequence[MaskLook], values: MaskValues) -> tuple[Sample, ...]:
    found = {look.sample: classes_in(look, values) for look in used}
    # A mask in which every pixel is ignored teaches nothing.
    return tuple(
        Sample(name, found.get(name) or None, pairs.splits.get(name)) for name in pairs.masks
    )


def _layout(samples: Sequence[Sample], values: MaskValues) -> str:
    labelled = sum(sample.raw is not None for sample in samples)
    shown = plural(len(samples), "picture")
    words = f"{shown} with masks" if labelled == len(samples) else f"{shown}, {labelled} with masks"
    if not labelled:
        words = f"{shown} without masks that can be used"
    return words + (f": {values.describe()}" if values.names else "")
