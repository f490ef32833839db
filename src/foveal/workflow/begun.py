"""Find the run of an earlier attempt of the same job, on any machine."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from foveal.errors import UsageError
from foveal.mirror import read_state
from foveal.names import is_name
from foveal.recipe import Recipe
from foveal.remote import open_url
from foveal.urls import below
from foveal.workflow.lease import LEASE_NAME
from foveal.workflow.remote_run import Runs, at_hand
from foveal.workflow.rundir import RunDirectory


def begun_before(runs: Runs, recipe: Recipe, task: str, name: str, key: str) -> Path | None:
    """Return the run that was begun with a key, to be resumed; None where there is none.

    Args:
        runs: Where runs are made.
        recipe: As the user gave it.
        task: The run's task.
        name: Name that the run was to have; it may have got a number.
        key: Key that the run was started with.

    Raises:
        RemoteError: If a run at a URL cannot be read.
        UsageError: If the run was begun with other settings.
    """
    for number in count(1):
        numbered = name if number == 1 else f"{name}-{number}"
        path = runs.folder / task / numbered
        is_taken, found = path.exists(), path
        is_it = _key_of(path) == key
        if runs.url is not None and not is_it:
            url = below(runs.url, task, numbered)
            is_taken, is_it = _at(url, key, is_taken=is_taken)
            found = at_hand(url) if is_it else path
        if is_it:
            _check_same(RunDirectory(found), recipe)
            return found
        if not is_taken:
            return None
    raise AssertionError("unreachable")


def check_key(key: str) -> None:
    """Raise where a text cannot be a key.

    Raises:
        UsageError: With what is expected.
    """
    if not is_name(key):
        raise UsageError(
            f"Invalid key {key!r}. Expected letters, digits, '.', '_', '-'.",
            hint="foveal train DATA --resume-key nightly-1",
        )


def _key_of(path: Path) -> str | None:
    """Return the key of a run of this machine that can be resumed, or None."""
    run = RunDirectory(path)
    if not (run.key.is_file() and run.state.is_file()):
        return None
    return run.key.read_text(encoding="utf-8")


def _at(url: str, key: str, *, is_taken: bool) -> tuple[bool, bool]:
    """Return whether somebody has the name at a URL, and whether it is the run of the key."""
    remote = open_url(url)
    state = read_state(remote)
    if state is None:
        # Of a start that was lost before it had brought anything there.
        return is_taken or remote.kind(LEASE_NAME) != "missing", False
    kept = state.files.get(RunDirectory(Path()).key.name)
    return True, kept is not None and remote.read(kept.object) == key.encode()


def _check_same(run: RunDirectory, recipe: Recipe) -> None:
    begun = Recipe.load(run.recipe)
    before, now = begun.flat(), recipe.filled(begun).flat()
    if other := [key for key in now if now[key] != before.get(key)]:
        told = ", ".join(f"{key} was {before.get(key)} and is {now[key]}" for key in other[:3])
        raise UsageError(
            f"The run {run.place} was started with other settings: {told}.",
            hint="use another --resume-key for another run",
        )
