"""Find what MODEL and RUN name: a run or its name, a bundle, a `.foveal` file, a stored model."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.destination import cache_directory
from foveal.errors import BundleError, StoreError, nearest
from foveal.urls import is_url, shown
from foveal.workflow.fetched import fetched
from foveal.workflow.names import located, run_of, runs
from foveal.workflow.rundir import again, kept_at

if TYPE_CHECKING:
    from foveal.store.exports import StoredExports
    from foveal.store.record import StoredVersion
    from foveal.store.reference import Reference
    from foveal.store.store import Store

IMAGENET = "imagenet"
_REGISTRY = "mlflow:"
_MODELS = (MANIFEST_NAME, f"bundle/{MANIFEST_NAME}", "recipe.yaml")

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True)
class Found:
    """A model that was found.

    Attributes:
        bundle: The bundle, opened and verified.
        run: The run directory that it is in, or None.
        stored: Where it is in a store, or None.
        kept_in: Where its exports are noted, or None.
    """

    bundle: Bundle
    run: Path | None = None
    stored: StoredVersion | None = None
    kept_in: Path | StoredExports | None = None


def find_model(model: str | Path) -> Found:
    """Open the model that `model` names.

    A path that has a model wins over a name in the store, which is then said.

    Raises:
        BundleError: If nothing is there, or what is there is not a bundle.
        RemoteError: If it is at a URL and cannot be fetched.
        StoreError: If the store does not have it.
        UsageError: If runs of several tasks have the name.
    """
    if is_url(model) and (copy := fetched(str(model))) is not None:
        return Found(bundle := _open(copy), run_of(bundle.path))
    path = located(model)
    if str(model).startswith(_REGISTRY) and not path.exists():
        return _registered(str(model))
    if _has_model(path):
        _tell_apart(str(model), path)
        bundle = _open(path)
        run = run_of(bundle.path)
        return Found(bundle, run, kept_in=run)
    if str(model) == IMAGENET and not path.exists():
        return Found(Bundle.open(_imagenet()))
    stored = store_of(model)
    if stored is None:
        return Found(_open(path))
    store, reference = stored
    version = store.resolve(reference)
    bundle = store.bundle(version.name, version.version)
    # Imported late, with what it needs of the store.
    from foveal.store.exports import StoredExports

    kept_in = StoredExports(store.files, version.name, version.version)
    return Found(bundle, None, version, kept_in)


def in_store(
    model: str | Path, location: str | Path | None = None
) -> tuple[Store, Reference] | None:
    """Return where a store has a model; None for one at a path.

    Args:
        model: As for `find_model`.
        location: Where the store is that has the name; None finds what `find_model` would open.

    Raises:
        StoreError: If a store at a URL cannot be reached.
    """
    path = located(model)
    if location is not None:
        from foveal.store.reference import Reference
        from foveal.store.store import Store

        reference = Reference.parse(str(model))
        return None if reference is None else (Store.open(location), reference)
    if _has_model(path) or (str(model) == IMAGENET and not path.exists()):
        return None
    return store_of(model)


def is_store(folder: str | Path) -> bool:
    """Return whether a folder is no model itself, but a store of some."""
    path = Path(folder)
    if not path.is_dir() or _has_model(path):
        return False
    from foveal.store.store import Store

    return bool(Store.open(path).names())


def _has_model(path: Path) -> bool:
    return path.is_file() or any((path / file).is_file() for file in _MODELS)


def store_of(model: str | Path) -> tuple[Store, Reference] | None:
    """Return the store that MODEL is in, and what it means there; None where it is a path.

    `cats:3` and `cats@live` are in the default store, and `cats` is when that has such a name.
    `DIR/cats:3` and `s3://bucket/DIR/cats` name the store too.

    Raises:
        StoreError: If a store at a URL cannot be reached.
    """
    # Imported late: most models are paths, and what compares versions takes long to load.
    from foveal.store.reference import Reference
    from foveal.store.store import Store

    location, _, last = str(model).rstrip("/").rpartition("/")
    reference = Reference.parse(last)
    if reference is None:
        return None
    is_given = reference.version is not None or reference.alias is not None
    store = Store.open(location or None)
    is_certain = "://" in location or (is_given and not location)
    if is_certain or any(store.files.numbers(reference.name).values()):
        return store, reference
    return None


def _registered(model: str) -> Found:
    from foveal.store.mlflow_registry import fetch_from_registry

    bundle, stored = fetch_from_registry(model)
    return Found(bundle, None, stored)


def _tell_apart(model: str, path: Path) -> None:
    """Say which one a name means that the store has as well."""
    # The store may be out of reach, which is no matter for a path.
    with suppress(StoreError):
        if "/" not in model and (stored := store_of(model)) is not None:
            other = f"{stored[0].location.rstrip('/')}/{model}"
            logger.warning("%s means %s here; the one in the store is %s", model, path, other)


def _open(path: Path) -> Bundle:
    if not path.exists() and (near := near_name(path.name)):
        raise BundleError(f"There is no model at {path}.", hint=f"did you mean {near}?")
    if (path / "bundle" / MANIFEST_NAME).is_file():
        return Bundle.open(path / "bundle")
    if (path / "recipe.yaml").is_file() and not (path / MANIFEST_NAME).is_file():
        place = shown(kept_at(path) or path)
        raise BundleError(
            f"There is no bundle in {place} yet: its training has not finished.", hint=again(path)
        )
    return Bundle.open(path)


def near_name(name: str) -> str | None:
    """Return what a mistyped name may have meant: a run, or a model in the default store."""
    from foveal.store.store import Store

    return nearest(name, [*(run.name for run in runs()), *Store.open().names()])


def _imagenet() -> Path:
    path = cache_directory() / IMAGENET
    if not (path / MANIFEST_NAME).is_file():
        # Made once from the pip-installed weights; afterwards it needs no torch.
        from foveal.workflow.imagenet import write_imagenet_bundle

        write_imagenet_bundle(path)
    return path
