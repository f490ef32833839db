"""Changes of a name in a store: aliases, removal of versions, pinned test set.

Each change is written under a lock and kept in the history.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from foveal.errors import FovealError, PromotionRefused, StoreError, UsageError
from foveal.store.files import StoreFiles
from foveal.store.judge import Measure, TestResult, check_not_worse, compare_on_test, judgement
from foveal.store.missing import no_alias
from foveal.store.reading import open_bundle, problem_of
from foveal.store.reference import check_alias
from foveal.store.state import (
    ALIASES_NAME,
    Aliases,
    Move,
    NameState,
    TestSet,
    look,
    now,
    read_aliases,
)
from foveal.types import JsonObject

logger = logging.getLogger(__name__)

_TESTS = ".tests"


def promote(
    files: StoreFiles,
    measure: Measure | None,
    name: str,
    version: int,
    alias: str,
    *,
    force: bool,
    who: str,
) -> Move:
    """Point an alias at a version; see `Store.promote`."""
    check_alias(alias)
    while True:
        open_bundle(files, name, version)
        before = read_aliases(files, name).aliases.get(alias)
        if before == version:
            return Move(alias, before, version, "promote", now(), who)
        forced, test = _judge(files, measure, name, (before, version), alias, force=force)
        move = Move(alias, before, version, "promote", now(), who, forced, test)
        # Measuring takes minutes, in which somebody else may have moved it.
        if _moved(files, name, move):
            return move


def rollback(files: StoreFiles, look: Callable[[], NameState], alias: str, *, who: str) -> Move:
    """Point an alias back at its previous version; see `Store.rollback`.

    Args:
        files: Storage backend.
        look: Function that returns the current state of the name.
        alias: The alias.
        who: Name of the user.
    """
    while True:
        state = look()
        if alias not in state.aliases:
            raise no_alias(state.name, alias, state)
        target = _earlier(files, state, alias)
        move = Move(alias, state.aliases[alias], target, "rollback", now(), who)
        if _moved(files, state.name, move):
            return move


def _earlier(files: StoreFiles, state: NameState, alias: str) -> int:
    for version in state.earlier(alias):
        problem = problem_of(files, state.name, version)
        if problem is None:
            return version
        logger.warning("%s:%d was skipped: %s", state.name, version, problem)
    raise StoreError(
        f"{state.name}@{alias} has no earlier version than {state.aliases[alias]} left in the "
        "store.",
        hint=f"foveal models show {state.name}",
    )


def remove(files: StoreFiles, name: str, version: int) -> None:
    """Remove a version; see `Store.remove`."""

    def without(aliases: Aliases) -> Aliases:
        named = [alias for alias, number in aliases.aliases.items() if number == version]
        if named:
            raise UsageError(
                f"{name}:{version} is {', '.join(f'{name}@{alias}' for alias in named)}, and is "
                "not removed.",
                hint=f"foveal models promote {name}:OTHER --alias {named[0]}",
            )
        return replace(aliases, removed=tuple(sorted({*aliases.removed, version})))

    # Written down first: the number of the last version must not be given again.
    _write(files, name, without)
    files.delete(name, str(version))
    test = read_aliases(files, name).test
    if test is not None:
        files.delete(name, _result_path(test, version))


def prune(files: StoreFiles, name: str, keep: int) -> tuple[int, ...]:
    """Remove old versions and return them; see `Store.prune`."""
    going = prunable(files, name, keep)
    for version in going:
        remove(files, name, version)
    return going


def prunable(files: StoreFiles, name: str, keep: int) -> tuple[int, ...]:
    """Return the versions that `prune` would remove."""
    if keep < 1:
        raise UsageError(
            f"Invalid number of versions to keep. Expected at least 1. Received: {keep}."
        )
    state = look(files, name)
    kept = {*state.versions[-keep:], *state.aliases.values()}
    for alias in state.aliases:
        there = [version for version in state.earlier(alias) if version in state.versions]
        kept.update(there[:1])
    return tuple(version for version in state.versions if version not in kept)


def pin(files: StoreFiles, name: str, test: TestSet | None) -> None:
    """Pin a test set; see `Store.pin`."""
    _write(files, name, lambda aliases: replace(aliases, test=test))


def test_result(
    files: StoreFiles, measure: Measure | None, name: str, version: int, test: TestSet
) -> TestResult:
    """Return how a version did on a test set, measured unless it was before.

    Raises:
        PromotionRefused: If it was not measured and is not to be.
        StoreError: If the pictures have changed.
    """
    if (known := kept_result(files, name, version, test)) is not None:
        return known
    if measure is None:
        raise PromotionRefused(
            f"{name}:{version} has not been measured on the pinned test set, which a server "
            "cannot do. Promote it on a machine that has the pictures: foveal models promote "
            f"{name}:{version}"
        )
    found = measure(open_bundle(files, name, version), test)
    if found.digest != test.digest:
        raise StoreError(
            f"The test set {test.data} is not the one that was pinned: its pictures or labels have "
            "changed.",
            code="store_refused",
            hint=f"foveal models pin {name} {test.data}",
        )
    files.write(name, _result_path(test, version), found.to_bytes())
    return found


def kept_result(files: StoreFiles, name: str, version: int, test: TestSet) -> TestResult | None:
    """Return how a version did on a test set, if it was measured before."""
    content = files.read(name, _result_path(test, version))
    known = None if content is None else TestResult.from_bytes(content)
    return known if known is not None and known.digest == test.digest else None


def _judge(
    files: StoreFiles,
    measure: Measure | None,
    name: str,
    versions: tuple[int | None, int],
    alias: str,
    *,
    force: bool,
) -> tuple[bool, JsonObject | None]:
    """Return whether force was needed, and what the comparison gave."""
    before, after = versions
    test = read_aliases(files, name).test
    if test is None:
        return False, None
    try:
        new = test_result(files, measure, name, after, test)
        if before is None:
            return False, judgement(test, new, None)
        old = test_result(files, measure, name, before, test)
    except FovealError as error:
        if not force:
            raise
        logger.warning("not compared: %s", error.message)
        return True, None
    metric = open_bundle(files, name, after).task.primary_metric
    difference = compare_on_test(metric, old, new)
    forced = False
    try:
        check_not_worse(difference, test, (f"{name}:{before}", f"{name}:{after}"), alias)
    except StoreError as refused:
        if not force:
            raise
        logger.warning("forced: %s", refused.message)
        forced = True
    return forced, judgement(test, new, difference)


def _write(files: StoreFiles, name: str, change: Callable[[Aliases], Aliases | None]) -> bool:
    """Change `aliases.json` under the lock; a change that gives None is not made."""
    with files.locked(name):
        changed = change(read_aliases(files, name))
        if changed is not None:
            files.write(name, ALIASES_NAME, changed.to_bytes())
    return changed is not None


def _moved(files: StoreFiles, name: str, move: Move) -> bool:
    """Move an alias, unless somebody else has moved it or removed the version meanwhile."""

    def change(aliases: Aliases) -> Aliases | None:
        is_old = aliases.aliases.get(move.alias) != move.before or move.version in aliases.removed
        return None if is_old else aliases.moved(move)

    return _write(files, name, change)


def _result_path(test: TestSet, version: int) -> str:
    return f"{_TESTS}/{test.digest[:16]}/{version}.json"
