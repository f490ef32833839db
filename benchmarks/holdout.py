"""Hold a test part out before foveal sees anything: stratified, groups and equal files together."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled picture file.

    Attributes:
        path: The file.
        label: Name of its class folder.
        group: Pictures of one group stay on one side.
    """

    path: Path
    label: str
    group: str


def list_items(root: Path, group_of: Callable[[Path], str] | None = None) -> list[Item]:
    """List the pictures of class folders in the order of their names.

    Args:
        root: Folder of class folders.
        group_of: Names a file's group; None groups only files of equal bytes, so that no
            picture is in both parts.
    """
    group = group_of or _content_group
    return [
        Item(path, folder.name, group(path))
        for folder in sorted(p for p in root.iterdir() if p.is_dir())
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in PICTURE_SUFFIXES
    ]


def _content_group(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def list_texts(root: Path) -> list[Item]:
    """List the pictures of a labels.csv whose labels are texts, each a label of its own.

    Args:
        root: Folder of the table; the pictures lie in it or in its folder `images`. The first
            column names the picture, the second one holds its text.
    """
    with (root / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    folder = root / "images" if (root / "images" / rows[0][0]).is_file() else root
    paths = [(folder / name, text) for name, text, *_ in rows]
    return [Item(path, text, _content_group(path)) for path, text in paths]


def choose(items: Sequence[Item], count: int | None, seed: int) -> list[Item]:
    """Choose `count` of the items by lot, in their order; all of them for None.

    Raises:
        SystemExit: When there are fewer.
    """
    if count is None:
        return list(items)
    if count > len(items):
        raise SystemExit(f"{count} pictures were asked for; there are {len(items)}")
    chosen = np.random.default_rng(seed).permutation(len(items))[:count]
    return [items[index] for index in sorted(chosen.tolist())]


def thin(items: Sequence[Item], per_class: int | None) -> list[Item]:
    """Keep the first `per_class` pictures of each class: to try a benchmark quickly."""
    seen: defaultdict[str, int] = defaultdict(int)
    kept = []
    for item in items:
        seen[item.label] += 1
        if per_class is None or seen[item.label] <= per_class:
            kept.append(item)
    return kept


def hold_out(
    items: Sequence[Item],
    share: float,
    seed: int,
    stratum_of: Callable[[Item], str] = lambda item: item.label,
) -> tuple[list[Item], list[Item]]:
    """Split into what may be trained on and what is only tested on.

    Args:
        items: All of them.
        share: Of the pictures of each stratum that is held out, in (0, 1).
        seed: Same seed, same split.
        stratum_of: A group is dealt out within the stratum of its first item.

    Returns:
        (train, test), each in the order of `items`.
    """
    strata: defaultdict[str, dict[str, int]] = defaultdict(dict)
    home: dict[str, str] = {}
    for item in items:
        stratum = home.setdefault(item.group, stratum_of(item))
        strata[stratum][item.group] = strata[stratum].get(item.group, 0) + 1
    rng = np.random.default_rng(seed)
    held: set[str] = set()
    for name in sorted(strata):
        sizes = strata[name]
        wanted, taken = share * sum(sizes.values()), 0
        for index in rng.permutation(len(sizes)):
            group = list(sizes)[index]
            # Take the group when that comes closer to the share than leaving it.
            if abs(taken + sizes[group] - wanted) < abs(taken - wanted):
                held.add(group)
                taken += sizes[group]
    train = [item for item in items if item.group not in held]
    test = [item for item in items if item.group in held]
    return train, test


def write_folders(items: Sequence[Item], root: Path) -> Path:
    """Copy pictures into class folders and return `root`.

    Copies, not links: what foveal gets is what a user would have.
    """
    for item in items:
        target = root / item.label / item.path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(item.path, target)
    return root


def write_split(items: Sequence[Item], root: Path) -> int:
    """Copy four fifths to `root/train` and a fifth to `root/val`; return how many are in train."""
    train_part, val_part = hold_out(items, 1 / 5, 0)
    write_folders(train_part, root / "train")
    write_folders(val_part, root / "val")
    return len(train_part)


def write_table(items: Sequence[Item], root: Path) -> Path:
    """Copy pictures into one folder beside a labels.csv that names their groups."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "label", "group"))
        for item in items:
            name = f"{item.label}/{item.path.name}"
            target = root / name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(item.path, target)
            writer.writerow((name, item.label, item.group))
    return root


def write_texts(items: Sequence[Item], root: Path) -> Path:
    """Copy pictures into a folder with the labels.csv of a reader, and return `root`."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "text"))
        for item in items:
            name = f"images/{item.path.name}"
            shutil.copyfile(item.path, root / name)
            writer.writerow((name, item.label))
    return root


# Each rule is the part of a name of signature_text that says who wrote it, or where it was seen.
_SIGNATURE_TEXT_GROUPS = (
    re.compile(r"^(cn_\d+)_"),  # volunteer
    re.compile(r"^(receipt_\d+)_"),  # receipt
    re.compile(r"^(iiit5k_\d+)_"),  # photograph
    re.compile(r"^(print1500_\d+)_"),  # book, by its year
    re.compile(r"^(arabic_[A-Za-z]+\.[A-Za-z]+)"),  # book; two volumes of one are one group
)


def signature_text_group(path: Path) -> str:
    """Return the writer, receipt, photograph or book of a picture of signature_text.

    The names of `ic03_` and `ic13_word_` say no photograph: each is its own group.
    """
    for rule in _SIGNATURE_TEXT_GROUPS:
        match = rule.match(path.name)
        if match:
            return match[1]
    return path.stem


def source_prefix(path: Path) -> str:
    """Return the source of a picture of signature_text: `cn`, `receipt`, `iiit5k`, …"""
    return path.name.partition("_")[0]
