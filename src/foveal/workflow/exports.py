"""The workflow of `foveal export`: pictures, export, record."""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias, final

from foveal.atomic import write_atomic
from foveal.bundle.bundle import Bundle
from foveal.console import Progress
from foveal.errors import DataError, UsageError
from foveal.export.formats import FORMATS, write_as
from foveal.export.job import ExportJob, ExportOptions, Pictures
from foveal.export.proof import Proof
from foveal.export.upload import check_free, upload
from foveal.store.exports import StoredExports
from foveal.types import JsonObject
from foveal.urls import is_url, local_path
from foveal.workflow.measure import own_data, part_of
from foveal.workflow.sources import open_as, reading_of

EXPORTS_NAME = "exports.json"

KeptIn: TypeAlias = Path | StoredExports
"""Where the record of a model's exports is: in its run, or beside its version in a store."""


@final
@dataclass(frozen=True, slots=True)
class Exported:
    """A completed export.

    Attributes:
        to: Name of the format.
        path: The file or folder, or its URL.
        proof: Proof in its own runtime; None if it holds the bundle's own network.
        bytes: Size of all that was written.
        sha256: Digest of it, see `digest_of_files`.
    """

    to: str
    path: Path | str
    proof: Proof | None
    bytes: int
    sha256: str


def export_model(
    bundle: Bundle,
    to: str,
    out: str | Path | None,
    *,
    options: ExportOptions,
    run: Path | None,
    data: str | Path | None,
    progress: Progress,
    kept_in: KeptIn | None = None,
) -> Exported:
    """Write a bundle in a format, prove it, and note it.

    Args:
        bundle: The model.
        to: Name of the format.
        out: Path or fsspec URL to write to; None takes the model's name in the working
            directory.
        options: Options of the format.
        run: The bundle's run, if it is at hand: gives the pictures.
        data: Labelled pictures to prove the export on; None takes the validation split of the run.
        progress: Receives the progress.
        kept_in: Where the export and its proof are noted; None notes them nowhere.

    Raises:
        UsageError: If there is no such format, it does not take the options, or `out` cannot be
            written or has not the ending by which the format is known.
        MissingExtraError: If a package that the format needs is not installed.
        ParityError: If what was written answers differently; nothing is left of it.
    """
    suffix = FORMATS[to].suffix_for(options)
    target = out or bundle.name + suffix
    if FORMATS[to].is_told_by_name and not options.with_app and not str(target).endswith(suffix):
        raise UsageError(
            f"A file of {to} is recognised by its extension. Expected {suffix}. Received: "
            f"{target}.",
            hint=f"use --out {shlex.quote(f'{target}{suffix}')}",
        )
    job = ExportJob(bundle, options, partial(pictures_of, bundle, run, data), progress)
    exported = _write(job, to, target) if not is_url(target) else _upload(job, to, str(target))
    if kept_in is not None:
        _note(kept_in, bundle, exported, options)
    return exported


def _write(job: ExportJob, to: str, out: str | Path) -> Exported:
    path = local_path(out)
    proof = write_as(job, to, path)
    return _exported(to, path, proof)


def _upload(job: ExportJob, to: str, url: str) -> Exported:
    remote = check_free(url)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (remote.parent()[1] or job.bundle.name)
        exported = _write(job, to, path)
        upload(path, remote, FORMATS[to].main)
    return replace(exported, path=url)


def _exported(to: str, path: Path, proof: Proof | None) -> Exported:
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return Exported(to, path, proof, size, digest_of_files(path))


def pictures_of(bundle: Bundle, run: Path | None, data: str | Path | None) -> Pictures | None:
    """Return the pictures that an export of a bundle is proven on; None when there are none.

    Raises:
        DataError: If `data` has no labelled pictures, or the data of the run is gone.
    """
    limits = bundle.manifest.limits
    if data is not None:
        source = open_as(data, reading_of(bundle, limits=limits))
        labelled = part_of(source, None, None)
        if not labelled:
            raise DataError(
                f"There are no labelled pictures in {source.location}.",
                hint=f"foveal check DATA --task {bundle.task.name}",
            )
        return Pictures(source, labelled, labelled, limits)
    if run is None:
        return None
    location, options = own_data(run)
    source = open_as(location, options)
    train = part_of(source, "train", run)
    # In cross-validation no picture is kept apart; the same answers can be proven on any.
    val = train if bundle.manifest.folds is not None else part_of(source, "val", run)
    return Pictures(source, val, train, limits)


def exports_of(kept_in: KeptIn | None) -> list[JsonObject]:
    """Return what was exported from a model, with the proofs; the last of each format and options.

    Raises:
        StoreError: If the store cannot be reached.
        UsageError: If the record is damaged.
    """
    if kept_in is None:
        return []
    if isinstance(kept_in, Path):
        path = kept_in / EXPORTS_NAME
        content, location = path.read_bytes() if path.is_file() else None, str(path)
    else:
        content, location = kept_in.read(), kept_in.location
    if content is None:
        return []
    try:
        # Earlier versions of foveal did not record the options.
        exports = [{"options": [], **export} for export in json.loads(content)["exports"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{location} is damaged.", hint=f"rm {location}") from error
    return exports


def digest_of_files(path: Path) -> str:
    """Return the sha256, in hexadecimal digits, of a file, or of all that a folder holds."""
    digest = hashlib.sha256()
    for file in sorted((path, *path.rglob("*"))):
        if file.is_file():
            name = "" if file == path else file.relative_to(path).as_posix()
            with file.open("rb") as content:
                digest.update(
                    f"{name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode()
                )
    return digest.hexdigest()


def _note(kept_in: KeptIn, bundle: Bundle, exported: Exported, options: ExportOptions) -> None:
    """Keep what was exported, and its proof."""
    given = list(options.given)
    key = {"to": exported.to, "precision": options.precision, "options": given}
    kept = [entry for entry in exports_of(kept_in) if {**entry, **key} != entry]
    entry: JsonObject = {
        **key,
        "version": bundle.version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "path": str(exported.path if isinstance(exported.path, str) else exported.path.resolve()),
        "bytes": exported.bytes,
        "sha256": exported.sha256,
        "proof": None if exported.proof is None else exported.proof.to_json(),
    }
    text = json.dumps({"schema_version": 1, "exports": [*kept, entry]}, indent=1) + "\n"
    if isinstance(kept_in, Path):
        write_atomic(kept_in / EXPORTS_NAME, text)
    else:
        kept_in.write(text.encode())
