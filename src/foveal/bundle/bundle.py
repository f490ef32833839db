"""Open and write bundles. Opening verifies every file's sha256; writing is atomic."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

from foveal.atomic import atomic_path
from foveal.bundle.agreement import check_graph, check_outputs
from foveal.bundle.container import (
    MODEL_NAME,
    PROOF_NAME,
    TRAINED_ON_NAME,
    WEIGHTS_NAME,
    list_files,
    read_file,
    sha256_of,
    size_of,
)
from foveal.bundle.manifest import Manifest
from foveal.bundle.onnx_check import check_onnx
from foveal.errors import BundleError, RecipeError
from foveal.names import is_name
from foveal.pipeline import Pipeline
from foveal.tasks import get_task
from foveal.tasks.base import Task
from foveal.types import Labels

if TYPE_CHECKING:
    from foveal.bundle.proof import ProofInputs
    from foveal.bundle.trained_on import TrainedOn

MANIFEST_NAME = "bundle.json"
REQUIRED_FILES = frozenset({MODEL_NAME})
ALLOWED_FILES = REQUIRED_FILES | {
    WEIGHTS_NAME,
    "recipe.yaml",
    "README.md",
    TRAINED_ON_NAME,
    PROOF_NAME,
}
# Where an opened bundle keeps its network until that is asked for.
_MODEL = "_model"


@final
@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: The folder or the `.foveal` file, absolute.
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
        names = list_files(path)
        if MANIFEST_NAME not in names:
            raise BundleError(
                f"{path} is not a bundle: it has no {MANIFEST_NAME}.", hint="foveal train DATA"
            )
        text = read_file(path, MANIFEST_NAME)
        try:
            manifest = Manifest.from_json(text)
        except BundleError as error:
            raise BundleError(
                f"{path}: {error.message}", code=error.error_code, hint=error.hint
            ) from error
        _check_names(path, names, manifest)
        with ThreadPoolExecutor(2) as pool:
            # Network and weights are hashed side by side: that is most of the time of opening.
            others = [name for name in manifest.files if name != MODEL_NAME]
            digests = pool.map(lambda name: sha256_of(path, name), others)
            model = read_file(path, MODEL_NAME)
            checked = pool.submit(check_onnx, model)
            _check_digest(path, MODEL_NAME, hashlib.sha256(model).hexdigest(), manifest)
            for name, digest in zip(others, digests, strict=True):
                _check_digest(path, name, digest, manifest)
        graph = checked.result()
        # Absolute, because a notebook or a script may change its working directory.
        bundle = cls(path.absolute(), manifest, hashlib.sha256(text).hexdigest()[:12])
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
        bundle.__dict__[_MODEL] = model
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
            BundleError: If the manifest or the model would not pass `open`.
        """
        if not is_name(manifest.name):
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
        return replace(written, path=path.absolute())

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
        """Return the content of a file of the bundle: what was verified when it was opened.

        Raises:
            BundleError: If the bundle has no such file, or it was changed since.
        """
        if name != MANIFEST_NAME and name not in self.manifest.files:
            raise BundleError(f"{self.path} has no file {name!r}.")
        content = read_file(self.path, name)
        digest = hashlib.sha256(content).hexdigest()
        if name != MANIFEST_NAME:
            _check_digest(self.path, name, digest, self.manifest)
        elif not digest.startswith(self.version):
            raise _changed(self.path, name)
        return content

    def model_bytes(self) -> bytes:
        """Return the serialised ONNX model: what was verified when it was opened.

        Raises:
            BundleError: If it was changed since.
        """
        # Most bundles are opened to be run, once: then it need not be read and hashed again.
        model: bytes | None = self.__dict__.pop(_MODEL, None)
        return self.read(MODEL_NAME) if model is None else model

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
        # Imported late: `foveal predict` does without, and it brings what reads training data.
        from foveal.bundle.trained_on import TrainedOn

        return TrainedOn.from_bytes(self.read(TRAINED_ON_NAME))

    @cached_property
    def proof(self) -> ProofInputs | None:
        """Return drawn inputs and what the network gave for them; None where there are none.

        Raises:
            BundleError: If they do not fit the bundle.
        """
        if PROOF_NAME not in self.manifest.files:
            return None
        # Imported late: asked for only where engines are compared.
        from foveal.bundle.proof import ProofInputs

        return ProofInputs.from_bytes(self.read(PROOF_NAME), self.pipeline, self.manifest.outputs)

    @property
    def size_bytes(self) -> int:
        """Return the size of the model file, in bytes."""
        return size_of(self.path, MODEL_NAME)


def _check_digest(path: Path, name: str, digest: str, manifest: Manifest) -> None:
    if digest != manifest.files[name]:
        raise _changed(path, name)


def _changed(path: Path, name: str) -> BundleError:
    return BundleError(
        f"{name} in {path} was changed after the bundle was written: "
        "its sha256 differs from bundle.json.",
        hint="copy the bundle again, or train again",
    )


def _check_names(path: Path, names: set[str], manifest: Manifest) -> None:
    if not is_name(manifest.name):
        raise BundleError(
            f"Invalid name in {path}/bundle.json. Expected letters, digits, '.', '_', '-'. "
            f"Received: {manifest.name!r}."
        )
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
            f"{path} is incomplete. Listed in bundle.json: {sorted(listed)}. Found: "
            f"{sorted(names - {MANIFEST_NAME})}."
        )
