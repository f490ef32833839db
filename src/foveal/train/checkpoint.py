"""Crash-safe checkpoints: written to a temporary directory, synced, renamed, verified.

A checkpoint is a directory `checkpoint-00000007` with `state.json` (numbers, history), `tensors.pt`
(weights, optimizer, random states; read with `weights_only=True`) and `manifest.json` (sha256 of
both). It appears by one rename, so it is there whole or not at all; the two latest are kept, and a
damaged one is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from foveal.atomic import TEMPORARY, atomic_path
from foveal.errors import FovealError
from foveal.types import JsonObject

logger = logging.getLogger(__name__)

KEPT = 2
SCHEMA_VERSION = 1
_NAME = re.compile(r"checkpoint-(\d{8})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The contents of a checkpoint.

    Attributes:
        state: JSON values.
        tensors: Nested dicts and lists of tensors and plain values.
    """

    state: JsonObject
    tensors: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        directory: Made when the first checkpoint is written.
        every_s: Seconds between checkpoints within an epoch; those at its end come anyway.
        largest_share: Largest share of the time that checkpoints may take. Beyond it they become
            rarer, which only means more work to repeat after a kill.
        sweeps: Whether to remove what a killed run left half-written; not where another process
            may just be writing.
    """

    def __init__(
        self,
        directory: Path,
        *,
        every_s: float = 60.0,
        largest_share: float = 0.05,
        sweeps: bool = True,
    ) -> None:
        self.directory = directory
        self.every_s = every_s
        self.largest_share = largest_share
        if sweeps and directory.is_dir():
            for left in directory.glob(f"{TEMPORARY}*"):
                shutil.rmtree(left, ignore_errors=True)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and remove all but the two latest; return its directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        names = self.names()
        number = int(names[-1].removeprefix("checkpoint-")) + 1 if names else 1
        final = self.directory / f"checkpoint-{number:08d}"
        buffer = io.BytesIO()
        torch.save(checkpoint.tensors, buffer)
        files = {
            "state.json": json.dumps(checkpoint.state).encode(),
            "tensors.pt": buffer.getvalue(),
        }
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        manifest = {"schema_version": SCHEMA_VERSION, "files": digests}
        with atomic_path(final, durable=True) as temporary:
            temporary.mkdir()
            for name, content in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
                (temporary / name).write_bytes(content)
        for old in self.names()[:-KEPT]:
            shutil.rmtree(self.directory / old, ignore_errors=True)
        return final

    def load(self) -> Checkpoint | None:
        """Return the latest complete checkpoint, or None.

        Raises:
            FovealError: If there are checkpoints but all are damaged.
        """
        names = self.names()
        for name in reversed(names):
            try:
                return _read(self.directory / name)
            except (OSError, ValueError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
                logger.warning("checkpoint %s is damaged and ignored: %s", name, error)
        if names:
            raise FovealError(
                f"Cannot resume: every checkpoint in {self.directory} is damaged.",
                hint="foveal train DATA",
                code="checkpoint_damaged",
            )
        return None

    def clear(self) -> None:
        """Remove every checkpoint."""
        for name in self.names():
            shutil.rmtree(self.directory / name)

    def names(self) -> list[str]:
        """Return the names of the checkpoints, oldest first."""
        if not self.directory.is_dir():
            return []
        return sorted(p.name for p in self.directory.iterdir() if _NAME.fullmatch(p.name))


def _read(directory: Path) -> Checkpoint:
    manifest = json.loads((directory / "manifest.json").read_bytes())
    if manifest["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {manifest['schema_version']} is not {SCHEMA_VERSION}")
    contents = {}
    for name in ("state.json", "tensors.pt"):
        contents[name] = (directory / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != manifest["files"][name]:
            raise ValueError(f"{name} does not have the sha256 of the manifest")
    tensors = torch.load(io.BytesIO(contents["tensors.pt"]), map_location="cpu", weights_only=True)
    return Checkpoint(json.loads(contents["state.json"]), tensors)
