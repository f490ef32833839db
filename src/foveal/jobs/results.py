"""Copy the results of a job to the user's folder for runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from foveal.atomic import TEMPORARY, atomic_path
from foveal.destination import check_folder, writing
from foveal.errors import UsageError
from foveal.jobs.register import Record, Register

# As foveal writes them: a run is TASK/NAME and has these from its beginning.
_RUN_FILES = ("recipe.yaml", "run.json")


class NothingYet(UsageError):
    """Raised for a job without results yet.

    Args:
        job: Its name.
        where: Where nothing is, as a clause.
    """

    code = "job_nothing_yet"

    def __init__(self, job: str, where: str = "") -> None:
        super().__init__(
            f"The job {job} has no results yet{where}.", hint=f"foveal jobs logs {job} -f"
        )


def runs_in(folder: Path) -> Iterator[Path]:
    """Yield the runs in a folder for runs."""
    for path in sorted(folder.glob("*/*")):
        if all((path / name).is_file() for name in _RUN_FILES):
            yield path


def place(found: Path, out: Path, record: Record, register: Register) -> Path:
    """Copy what came of a job to a folder for runs, and return its path there.

    A run keeps its task and name, unless another run has them: then a number is added. What was
    fetched before is replaced.

    Args:
        found: What came of it, on this machine.
        out: Folder for runs.
        record: The job's record, which says where a former call put it.
        register: Where that is written down.

    Raises:
        NothingYet: If nothing came of it.
        UsageError: If `out` cannot be written to.
    """
    # What other modules write beside runs is theirs to name.
    runs = list(runs_in(found)) if record.command[2:3] == ("foveal",) else []
    parts = [run.relative_to(found) for run in runs]
    if not runs:
        if not found.is_dir() or not any(found.iterdir()):
            raise NothingYet(record.name)
        runs, parts = [found], [Path(record.name)]
    check_folder(out)
    places = dict(record.facts.get("fetched", {}))
    for run, part in zip(runs, parts, strict=True):
        target = _free(out / part, places.get(f"{out.absolute()}:{part}"))
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target, durable=True) as whole:
                shutil.copytree(run, whole, ignore=shutil.ignore_patterns(f"{TEMPORARY}*"))
        places[f"{out.absolute()}:{part}"] = str(target)
    register.update(record.name, fetched=places)
    # The last one: those of a job that trains once are one.
    return target


def _free(path: Path, before: str | None) -> Path:
    if before is not None:
        return Path(before)
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
