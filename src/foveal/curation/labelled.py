"""Add pictures to a labelled data set in its own layout."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self, final

import numpy as np
from PIL import Image as PILImage

from foveal.atomic import write_atomic
from foveal.curation.corrections import Correction
from foveal.curation.names import is_folder_name
from foveal.data.masks.values import MaskValues
from foveal.data.readers.lines import read_lines
from foveal.data.readers.rows import SEPARATOR, Row, columns_of, delimiter_of, read_rows
from foveal.data.source import TargetKind
from foveal.errors import DataError

_FOLDER = "corrections"
# Of a sha256, in hexadecimal: 80 bits name a picture.
_NAME_LENGTH = 20
_RESERVED = frozenset('/\\|:*?"<>')


class Labelled(ABC):
    """A labelled set."""

    @abstractmethod
    def name(self, digest: str, one: Correction, suffix: str) -> str:
        """Return the name that a picture gets in the set."""

    @abstractmethod
    def add(self, name: str, folder: Path, one: Correction) -> None:
        """Add the picture of a correction, and then what it is; nothing is overwritten.

        Raises:
            DataError: If the set cannot have it.
        """

    @final
    def is_own(self, name: str, digest: str) -> bool:
        """Whether a picture of the set has the name that a merge gives."""
        return PurePosixPath(name).stem == digest[:_NAME_LENGTH]


@final
@dataclass(frozen=True, slots=True)
class ClassFolders(Labelled):
    """A folder for each class.

    Attributes:
        root: The set.
        prefix: Folders above those of the classes, such as `train`.
    """

    root: Path
    prefix: PurePosixPath

    def name(self, digest: str, one: Correction, suffix: str) -> str:
        """Return a name in the folder of the class."""
        label = one.label or ()
        if len(label) != 1:
            raise DataError(
                f"Correction {one.id} has {len(label)} labels. Expected one, since the set has "
                "one folder for each class.",
                hint="use --merge NEW_FOLDER",
            )
        (name,) = label
        if not is_folder_name(name) or not _RESERVED.isdisjoint(name):
            raise DataError(
                f"The class {name!r} of correction {one.id} cannot be the name of a folder.",
                hint=f"use --accept {one.id} --label NAME",
            )
        return str(self.prefix / name / f"{digest[:_NAME_LENGTH]}{suffix}")

    def add(self, name: str, folder: Path, one: Correction) -> None:
        """Copy the picture."""
        _copy(folder / one.feedback.image, self.root / name)


@final
@dataclass(frozen=True, slots=True)
class TableOfLabels(Labelled):
    """A table beside the pictures.

    Attributes:
        root: The set.
        file: Name of the table.
        target: Kind of label.
    """

    root: Path
    file: str
    target: TargetKind

    @classmethod
    def new(cls, root: Path, target: TargetKind) -> Self:
        """Return a new table, which is there before the first picture is."""
        table = root / "labels.csv"
        if not table.is_file():
            column = "text" if target == "text" else "label"
            write_atomic(table, f"image,{column}\n", durable=True)
        return cls(root, table.name, target)

    def name(self, digest: str, one: Correction, suffix: str) -> str:
        """Return a name in a folder of its own beside the table."""
        beside = PurePosixPath(self.file).parent / _FOLDER
        return str(beside / f"{digest[:_NAME_LENGTH]}{suffix}")

    def add(self, name: str, folder: Path, one: Correction) -> None:
        """Copy the picture, then add its row; all other bytes of the table stay."""
        _copy(folder / one.feedback.image, self.root / name)
        table = self.root / self.file
        before = table.read_bytes()
        image = str(PurePosixPath(name).relative_to(PurePosixPath(self.file).parent))
        label = SEPARATOR.join(one.label or ())
        after = before + (b"" if before.endswith(b"\n") else b"\n")
        after += self._row(before, image, label)
        self._verify(after, image, one)
        write_atomic(table, after, durable=True)

    def _row(self, before: bytes, image: str, label: str) -> bytes:
        text = before.decode("utf-8-sig")
        suffix = PurePosixPath(self.file).suffix.lower()
        if suffix == ".txt":
            return f"{image}\t{label}\n".encode()
        if suffix in (".jsonl", ".ndjson"):
            first = json.loads(next(line for line in text.splitlines() if line.strip()))
            columns = columns_of(self.file, list(first), self.target)
            names = {key: list(first)[at] for key, at in columns.items()}
            value = {names["image"]: image, names["label"]: label}
            if "split" in names:
                value[names["split"]] = "train"
            return (json.dumps(value, ensure_ascii=False) + "\n").encode()
        delimiter = delimiter_of(text)
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        cells = [""] * len(header)
        for key, at in columns_of(self.file, header, self.target).items():
            cells[at] = {"image": image, "label": label, "split": "train"}.get(key, "")
        line = io.StringIO()
        ending = "\r\n" if "\r\n" in text else "\n"
        csv.writer(line, delimiter=delimiter, lineterminator=ending).writerow(cells)
        return line.getvalue().encode()

    def _verify(self, table: bytes, image: str, one: Correction) -> None:
        """Read the row as training will, rather than trust what was written."""
        is_text = PurePosixPath(self.file).suffix.lower() == ".txt"
        read = read_lines if is_text else read_rows
        row = list(read(self.file, table, self.target))[-1]
        if (
            not isinstance(row, Row)
            or row.image != image
            or set(row.raw or ()) != set(one.label or ())
        ):
            raise DataError(
                f"The label of correction {one.id} cannot be written into {self.file}: "
                f"{SEPARATOR.join(one.label or ())!r}.",
                hint=f"use --accept {one.id} --label TEXT",
            )


@final
@dataclass(frozen=True, slots=True)
class MaskFolders(Labelled):
    """Pictures in one folder, masks of the same names in another.

    Attributes:
        root: The set.
        images: Folder of the pictures.
        masks: Folder of the masks.
        values: What the values of the masks mean.
    """

    root: Path
    images: PurePosixPath
    masks: PurePosixPath
    values: MaskValues

    @classmethod
    def new(cls, root: Path, classes: tuple[str, ...]) -> Self:
        """Return a new set, whose masks hold positions in `classes`."""
        lines = "".join(f"{value} {name}\n" for value, name in enumerate(classes))
        write_atomic(root / "classes.txt", lines, durable=True)
        values = MaskValues("ids", dict(enumerate(classes)))
        return cls(root, PurePosixPath("images"), PurePosixPath("masks"), values)

    def name(self, digest: str, one: Correction, suffix: str) -> str:
        """Return a name in the folder of the pictures."""
        return str(self.images / f"{digest[:_NAME_LENGTH]}{suffix}")

    def add(self, name: str, folder: Path, one: Correction) -> None:
        """Write the mask with the set's values, then copy the picture."""
        if one.feedback.mask is None:
            raise DataError(f"Correction {one.id} has no corrected mask.")
        positions = np.asarray(PILImage.open(folder / one.feedback.mask))
        value_of = {meant: value for value, meant in reversed(list(self.values.names.items()))}
        classes = one.feedback.said.classes
        present = [classes[at] for at in np.unique(positions).tolist()]
        missing = [meant for meant in present if meant not in value_of]
        if missing:
            raise DataError(
                f"The mask of correction {one.id} has the class {missing[0]!r}, which the masks in "
                f"{self.root} do not have: {self.values.describe()}.",
                hint="use --merge NEW_FOLDER",
            )
        table = np.array([value_of.get(meant, 0) for meant in classes], np.int64)
        values = table[positions]
        if self.values.kind == "colors":
            stacked = np.stack([values >> 16 & 255, values >> 8 & 255, values & 255], axis=2)
            image = PILImage.fromarray(stacked.astype(np.uint8))
        else:
            image = PILImage.fromarray(values.astype(np.uint8 if table.max() < 256 else np.uint16))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        mask = self.root / self.masks / f"{PurePosixPath(name).stem}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(mask, buffer.getvalue(), durable=True)
        _copy(folder / one.feedback.image, self.root / name)


def _copy(source: Path, to: Path) -> None:
    content = source.read_bytes()
    if to.is_file():
        if to.read_bytes() == content:
            return
        raise DataError(f"{to} already exists, with other content.")
    to.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(to, content, durable=True)
