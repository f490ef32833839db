"""Match masks to pictures by folder names and file stems."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias, final

from foveal.data.masks.file import is_mask_name
from foveal.data.names import is_picture_name
from foveal.data.storage import Listing
from foveal.errors import DataError
from foveal.types import SplitName

Role: TypeAlias = Literal["picture", "mask"]

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("images", "image", "imgs", "img"), "picture"),
    **dict.fromkeys(("masks", "mask", "labels", "label", "annotations", "gt"), "mask"),
    **dict.fromkeys(("groundtruth", "ground_truth", "annotation"), "mask"),
}
# nnU-Net's raw data: Tr is for training, Ts for testing.
_NNUNET: dict[str, tuple[Role, SplitName]] = {
    "imagestr": ("picture", "train"),
    "labelstr": ("mask", "train"),
    "imagests": ("picture", "test"),
    "labelsts": ("mask", "test"),
}
# nnU-Net writes each channel of a picture to a file of its own; the first may be the only one.
_CHANNEL = re.compile(r"(.+)_(\d{4})")
_FIRST_CHANNEL = "0000"
_SUFFIXES = ("_mask", "-mask", "_label", "_labels", "_gt", "_seg", "_l")

_Key: TypeAlias = tuple[tuple[str, ...], str]


def are_pairs(folders: Iterable[str]) -> bool:
    """Return whether folders are called as those of pictures and those of their masks are."""
    names = {folder.lower() for folder in folders}
    roles = {role for name, role in _ROLES.items() if name in names}
    roles |= {role for name, (role, _) in _NNUNET.items() if name in names}
    return roles == {"picture", "mask"}


@final
@dataclass(frozen=True, slots=True)
class MaskPairs:
    """Pictures and their masks.

    Attributes:
        masks: Name of the picture → name of its mask, or None; in the order of the pictures.
        splits: Name of the picture → side that its folder states.
        alone: Masks without a picture.
        outside: Pictures that lie in no folder of pictures or masks.
        channels: Pictures that are further channels of others (nnU-Net).
        roots: Folders that hold the folders of pictures, with a trailing / unless empty; the
            shortest first.
    """

    masks: Mapping[str, str | None]
    splits: Mapping[str, SplitName]
    alone: tuple[str, ...]
    outside: tuple[str, ...]
    channels: tuple[str, ...]
    roots: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class _Place:
    """A file in a folder of pictures or masks.

    Attributes:
        name: Name of the file.
        role: Role that its folder gives it.
        folders: All folders on its way but the one that says the role; sides by their short names.
        stem: Without its ending and the number of its channel.
        channel: Channel of an nnU-Net picture, else empty.
        side: Or None when no folder names one.
        root: The folders before the one that says the role, with a trailing /.
    """

    name: str
    role: Role
    folders: tuple[str, ...]
    stem: str
    channel: str
    side: SplitName | None
    root: str

    @property
    def key(self) -> _Key:
        """Return what a picture and its mask have in common."""
        return self.folders, self.stem


def find_pairs(listing: Listing, sides: Mapping[str, SplitName]) -> MaskPairs | None:
    """Return the pairs in a folder, or None where there are no folders of pictures and of masks.

    Args:
        listing: Listing of the folder.
        sides: Word for a side of a split, in lower case → name of the side.

    Raises:
        DataError: If two masks have an equal claim to a picture.
    """
    places = []
    outside = []
    for name in listing.files:
        place = _place(name, sides) if is_mask_name(name) else None
        if place is not None:
            places.append(place)
        elif is_picture_name(name):
            outside.append(name)
    masks = [place for place in places if place.role == "mask"]
    pictures = [p for p in places if p.role == "picture" and is_picture_name(p.name)]
    first = [p for p in pictures if p.channel in ("", _FIRST_CHANNEL)]
    # Test pictures of nnU-Net come without labels as a rule.
    first = [p for p in first if p.side != "test" or any(m.side == "test" for m in masks)]
    if not first or not masks:
        return None
    found, alone = _match(first, masks)
    used = {place.name for place in first}
    channels = [p.name for p in pictures if p.channel not in ("", _FIRST_CHANNEL)]
    outside += [p.name for p in pictures if p.name not in used and p.name not in channels]
    return MaskPairs(
        masks={place.name: found.get(place.name) for place in first},
        splits=_splits(first),
        alone=alone,
        outside=tuple(outside),
        channels=tuple(channels),
        roots=tuple(sorted({"", *(place.root for place in first)}, key=lambda r: (len(r), r))),
    )


def _place(name: str, sides: Mapping[str, SplitName]) -> _Place | None:
    """Return where a file lies, by the first folder on its way that says what it is."""
    *folders, file = name.split("/")
    for at, folder in enumerate(folders):
        word = folder.lower()
        before, others = folders[:at], folders[:at] + folders[at + 1 :]
        root = "".join(part + "/" for part in before)
        stem = PurePosixPath(file).stem
        if word in _NNUNET:
            role, side = _NNUNET[word]
            match = _CHANNEL.fullmatch(stem) if role == "picture" else None
            stem, channel = (match[1], match[2]) if match else (stem, "")
            return _Place(name, role, (*others, side), stem, channel, side, root)
        if word in _ROLES:
            named = [sides[part.lower()] for part in others if part.lower() in sides]
            plain = tuple(sides.get(part.lower(), part) for part in others)
            return _Place(name, _ROLES[word], plain, stem, "", named[0] if named else None, root)
    return None


def _splits(places: Iterable[_Place]) -> dict[str, SplitName]:
    """Return the parts given by folders, if one of them is for training."""
    stated = {place.name: place.side for place in places if place.side is not None}
    return stated if "train" in stated.values() and len(set(stated.values())) > 1 else {}


def _match(
    pictures: Sequence[_Place], masks: Sequence[_Place]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return picture → mask, and the masks that are left.

    An equal stem goes before a stem with a suffix: `a_mask` may be a picture's whole name.
    """
    keys = {place.key for place in pictures}
    exact: dict[_Key, list[str]] = {}
    suffixed: dict[_Key, list[str]] = {}
    for mask in masks:
        if mask.key in keys:
            exact.setdefault(mask.key, []).append(mask.name)
            continue
        ending = next((s for s in _SUFFIXES if mask.stem.lower().endswith(s)), "")
        key = mask.folders, mask.stem[: len(mask.stem) - len(ending)]
        if ending and key in keys:
            suffixed.setdefault(key, []).append(mask.name)
    found: dict[str, str] = {}
    for picture in pictures:
        names = exact.get(picture.key) or suffixed.get(picture.key)
        if names and len(names) > 1:
            raise DataError(
                f"{picture.name} has two masks, {names[0]} and {names[1]}. Expected one.",
                hint="keep only one kind of masks, in one folder",
            )
        if names:
            found[picture.name] = names[0]
    used = set(found.values())
    return found, tuple(mask.name for mask in masks if mask.name not in used)
