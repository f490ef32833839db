"""Resolve names of runs, such as `ants` for `runs/classify/ants`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foveal.bundle.bundle import MANIFEST_NAME
from foveal.errors import UsageError
from foveal.urls import local_path

RUNS = Path("runs")
"""Where runs are made unless told otherwise."""

# A run, a bundle, and what `foveal evaluate --out` writes.
_OURS = ("recipe.yaml", MANIFEST_NAME, "metrics.json", f"bundle/{MANIFEST_NAME}")


def located(name: str | Path) -> Path:
    """Return the path that MODEL or RUN means: itself, or a run in `runs` of that name.

    A name means a run where the path has no model, run or evaluation itself: `ants` may be the
    folder of pictures that `runs/classify/ants` was trained on.

    Raises:
        UsageError: If runs of several tasks have the name.
    """
    path = local_path(name)
    if path.is_absolute() or path.is_file() or any((path / file).is_file() for file in _OURS):
        return path
    found = sorted(run for run in runs() if path in (Path(run.name), run.relative_to(RUNS)))
    if len(found) > 1:
        raise UsageError(
            f"{path} is the name of {len(found)} runs: {', '.join(map(str, found))}.",
            hint=f"use the path: {found[0]}",
        )
    return found[0] if found else path


def run_of(path: Path) -> Path | None:
    """Return the run directory that a path is, or whose bundle it is, or None."""
    for candidate in (path, path.parent):
        if (candidate / "recipe.yaml").is_file() and (candidate / "split.csv").is_file():
            return candidate
    return None


def runs() -> Iterator[Path]:
    """Yield the runs in `runs`."""
    return (recipe.parent for recipe in RUNS.glob("*/*/recipe.yaml"))


def voters(models: str | Path) -> list[str | Path]:
    """Return the models that `a,b` names; a folder may have a comma in its name."""
    if isinstance(models, Path) or Path(models).exists():
        return [models]
    return [name.strip() for name in models.split(",") if name.strip()] or [models]
