"""Open and write bundles. Opening verifies every file's sha256; writing is atomic."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import final

from foveal.atomic import atomic_path
from foveal.bundle.agreement import check_graph, check_outputs
from foveal.bundle.manifest import Manifest
from foveal.bundle.onnx_check import check_onnx
from foveal.bundle.trained_on import TRAINED_ON_NAME, TrainedOn
from foveal.errors import BundleError, RecipeError
from foveal.pipeline import Pipeline
from foveal.special import special_kind
from foveal.tasks import get_task
from foveal.tasks.base import Task
from foveal.types import Labels

MANIFEST_NAME = "bundle.json"
MODEL_NAME = "model.onnx"
REQUIRED_FILES = frozenset({MODEL_NAME})
ALLOWED_FILES = REQUIRED_FILES | {
    "weights.safetensors",
    "recipe.yaml",
    "README.md",
    TRAINED_ON_NAME,
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Far above any network that makes sense here (ViT-L is 1.2 GB); stops a zip bomb.
_MAX_FILE_BYTES = 4_000_000_000
_MAX_RATIO = 200


@final
@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: The folder or the `.foveal` file.
        manifest: What `bundle.json` says.
        version: First 12 hexadecimal digits of the sha256 of `bundle.json`.
    """

    path: Path
    manifest: Manifest
    version: str

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Open and verify the bundle at `path`: a folder, or one `.foveal` zip.

        Raises:
            BundleError: `bundle_invalid` when something is missing, damaged or not as
                documented, `bundle_unsafe` when it holds what a bundle must not hold,
                `bundle_too_new` when a later foveal wrote it.
        """
        path = Path(path)
        if not path.exists():
            raise BundleError(f"There is no bundle at {path}.", hint="foveal train DATA")
        names = _list(path)
        if MANIFEST_NAME not in names:
            raise BundleError(
                f"{path} is not a bundle: it has no {MANIFEST_NAME}.", hint="foveal train DATA"
            )
        text = _read(path, MANIFEST_NAME)
        manifest = Manifest.from_json(text)
        _check_names(path, names, manifest)
        with ThreadPoolExecutor(2) as pool:
            # Network and weights are hashed side by side: that is most of the time of opening.
            digests = pool.map(lambda name: _sha256(path, name), manifest.files)
            checked = pool.submit(check_onnx, _read(path, MODEL_NAME))
            for (name, expected), digest in zip(manifest.files.items(), digests, strict=True):
                if digest != expected:
                    raise BundleError(
                        f"{name} in {path} was changed after the bundle was written: "
                        "its sha256 differs from bundle.json.",
                        hint="copy the bundle again, or train again",
                    )
        graph = checked.result()
        bundle = cls(path, manifest, hashlib.sha256(text).hexdigest()[:12])
        try:
            specs = bundle.task.output_specs()
            if manifest.pipeline.steps:
                # Imported late: few bundles read pages.
                from foveal.page.steps import parse_steps

                parse_steps(manifest.pipeline.steps)
        except RecipeError as error:
            raise BundleError(f"Invalid value in bundle.json: {error.message}") from error
        check_outputs(manifest, specs)
        check_graph(manifest, graph)
        return bundle

    @classmethod
    def write(cls, path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
        """Write a bundle folder, verify it as `open` does, and return it.

        Everything is written beside `path` under a temporary name, flushed to the disk and
        then renamed, so that a bundle is either whole or not there. A bundle that stands at
        `path` already is replaced.

        Args:
            path: The folder to be.
            manifest: Its `files` are filled in here.
            files: Name → content; names are fixed by the format.

        Raises:
            BundleError: When the manifest or the model would not pass `open`.
        """
        if not _NAME.fullmatch(manifest.name):
            raise BundleError(
                f"Invalid bundle name {manifest.name!r}. Expected letters, digits, '.', '_', '-'."
            )
        check_onnx(files[MODEL_NAME])
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        text = json.dumps(replace(manifest, files=digests).to_json(), indent=2, ensure_ascii=False)
        with atomic_path(path, durable=True) as temporary:
            temporary.mkdir(parents=True)
            for name, content in {**files, MANIFEST_NAME: text.encode()}.items():
                (temporary / name).write_bytes(content)
            written = cls.open(temporary)
        return replace(written, path=path)

    def pack(self, target: Path) -> Path:
        """Write the bundle as one `.foveal` zip and return its path."""
        with (
            atomic_path(target) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        ):
            for name in (MANIFEST_NAME, *self.manifest.files):
                # A fixed date, so that the same bundle gives the same bytes.
                info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                info.external_attr = 0o644 << 16
                archive.writestr(info, self.read(name))
        return target

    def read(self, name: str) -> bytes:
        """Return the content of a file of the bundle.

        Raises:
            BundleError: When the bundle has no such file.
        """
        if name != MANIFEST_NAME and name not in self.manifest.files:
            raise BundleError(f"{self.path} has no file {name!r}.")
        return _read(self.path, name)

    def model_bytes(self) -> bytes:
        """Return the serialised ONNX model."""
        return self.read(MODEL_NAME)

    @property
    def name(self) -> str:
        """Return the bundle's name."""
        return self.manifest.name

    @property
    def pipeline(self) -> Pipeline:
        """Return the pre-processing."""
        return self.manifest.pipeline

    @cached_property
    def task(self) -> Task:
        """Return the task, bound to the bundle's labels and options."""
        task_type = get_task(self.manifest.task)
        return task_type.bind(Labels(self.manifest.labels), self.manifest.task_options)

    @cached_property
    def trained_on(self) -> TrainedOn | None:
        """Return the hashes of the training pictures, or None where the bundle has none."""
        if TRAINED_ON_NAME not in self.manifest.files:
            return None
        return TrainedOn.from_bytes(self.read(TRAINED_ON_NAME))

    @property
    def size_bytes(self) -> int:
        """Return the size of the model file, in bytes."""
        if self.path.is_dir():
            return (self.path / MODEL_NAME).stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(MODEL_NAME).file_size


def _list(path: Path) -> set[str]:
    if (kind := special_kind(path)) is not None:
        raise BundleError(f"{path} is {kind}. Expected a folder or a .foveal file.")
    if path.is_dir():
        for entry in path.iterdir():
            kind = "a link" if entry.is_symlink() else special_kind(entry)
            if kind is not None:
                raise BundleError(f"{path} contains {kind}: {entry.name}.", code="bundle_unsafe")
        return {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise BundleError(f"{path} is not a bundle: {error}") from error
    names = [info.filename for info in infos]
    if len(names) != len(set(names)):
        raise BundleError(f"{path} contains a file twice.", code="bundle_unsafe")
    for info in infos:
        if info.file_size > _MAX_FILE_BYTES or (
            info.file_size > 1_000_000 and info.file_size > _MAX_RATIO * info.compress_size
        ):
            raise BundleError(f"{info.filename} in {path} is too large.", code="bundle_unsafe")
    return set(names)


def _read(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            return (path / name).read_bytes()
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError, EOFError) as error:
        raise BundleError(f"Cannot read {name} in {path}: {error}") from error


def _sha256(path: Path, name: str) -> str:
    return hashlib.sha256(_read(path, name)).hexdigest()


def _check_names(path: Path, names: set[str], manifest: Manifest) -> None:
    if not _NAME.fullmatch(manifest.name):
        raise BundleError(f"Invalid name in {path}/bundle.json. Received: {manifest.name!r}.")
    listed = set(manifest.files)
    odd = (listed | names) - ALLOWED_FILES - {MANIFEST_NAME}
    if odd:
        raise BundleError(
            f"{path} contains files that a bundle must not contain: {sorted(odd)}.",
            code="bundle_unsafe",
        )
    missing = (listed | REQUIRED_FILES) - names
    if missing or not REQUIRED_FILES <= listed or listed != names - {MANIFEST_NAME}:
        raise BundleError(
            f"{path} is incomplete. Listed in bundle.json: {sorted(listed)}. "
            f"There: {sorted(names - {MANIFEST_NAME})}."
        )
