"""Find what MODEL and RUN name: a run or its name, a bundle, a `.foveal` file, or `imagenet`."""

from __future__ import annotations

import os
from pathlib import Path

from foveal.bundle.bundle import MANIFEST_NAME, Bundle
from foveal.errors import BundleError, nearest
from foveal.workflow.names import located, runs

IMAGENET = "imagenet"


def cache_directory() -> Path:
    """Return where foveal keeps what it can make again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "foveal"


def find_bundle(model: str | Path) -> Bundle:
    """Open the bundle that `model` names.

    Raises:
        BundleError: When nothing is there, or what is there is not a bundle.
        UsageError: When runs of several tasks have the name.
    """
    path = located(model)
    if str(model) == IMAGENET and not path.exists():
        return Bundle.open(_imagenet())
    if not path.exists() and (near := nearest(path.name, (run.name for run in runs()))):
        raise BundleError(f"There is no model at {path}.", hint=f"did you mean {near}?")
    if (path / "bundle" / MANIFEST_NAME).is_file():
        return Bundle.open(path / "bundle")
    if (path / "recipe.yaml").is_file() and not (path / MANIFEST_NAME).is_file():
        raise BundleError(
            f"The run {path} has no bundle yet: its training has not finished.",
            hint=f"foveal train --resume {path}",
        )
    return Bundle.open(path)


def run_of(model: str | Path) -> Path | None:
    """Return the run directory that `model` names or whose bundle it names, or None."""
    path = located(model)
    for candidate in (path, path.parent):
        if (candidate / "recipe.yaml").is_file() and (candidate / "split.csv").is_file():
            return candidate
    return None


def _imagenet() -> Path:
    path = cache_directory() / IMAGENET
    if not (path / MANIFEST_NAME).is_file():
        # Made once from the pip-installed weights; afterwards it needs no torch.
        from foveal.workflow.imagenet import write_imagenet_bundle

        write_imagenet_bundle(path)
    return path
