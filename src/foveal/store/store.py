"""The model store: find and open versions, publish, promote, roll back and remove them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import final

from foveal.bundle.bundle import Bundle
from foveal.errors import FovealError
from foveal.store import changes
from foveal.store.answers import AnswerTable
from foveal.store.files import StoreFiles
from foveal.store.judge import Measure, TestResult
from foveal.store.locations import open_files
from foveal.store.missing import no_alias, no_name, no_version
from foveal.store.publish import content_of, describe
from foveal.store.reading import open_bundle, problem_of, read_record
from foveal.store.record import ANSWERS_NAME, Record, StoredVersion
from foveal.store.reference import Reference, check_name
from foveal.store.state import (
    LIVE,
    Aliases,
    Move,
    NameState,
    TestSet,
    look,
    read_aliases,
    user_name,
)

logger = logging.getLogger(__name__)


@final
class Store:
    """Versions of models under names.

    The contents may change at any time, because other processes publish and promote as well.
    Incomplete versions are never visible.

    Args:
        files: Storage backend; `Store.open` creates it from a path or a URL.
        measure: Evaluates versions before they are promoted; None refuses versions that have not
            been evaluated on the pinned test set.
    """

    def __init__(self, files: StoreFiles, *, measure: Measure | None = None) -> None:
        self.files = files
        self.measure = measure

    def __repr__(self) -> str:
        """Return the location."""
        return f"Store({self.location!r})"

    @classmethod
    def open(cls, location: str | Path | None = None, *, measure: Measure | None = None) -> Store:
        """Open the store at a path or an fsspec URL, which need not exist yet.

        Args:
            location: Path or URL; None takes the environment variable `FOVEAL_STORE`, or else the
                folder `models`.
            measure: As for `Store`; `foveal.open_store` passes one.

        Raises:
            MissingExtraError: If the protocol of the URL needs a package that is not installed.
            UsageError: If the protocol of the URL is unknown.
        """
        return cls(open_files(location), measure=measure)

    @property
    def location(self) -> str:
        """Path or URL of the store."""
        return self.files.location

    def names(self) -> tuple[str, ...]:
        """Return the names that have a version."""
        names = (name for name in self.files.names() if Reference.parse(name) is not None)
        return tuple(name for name in names if any(self.files.numbers(name).values()))

    def state(self, name: str) -> NameState:
        """Return the current versions and aliases of a name; cheap enough to call every second.

        Raises:
            StoreError: If `aliases.json` is damaged.
        """
        return look(self.files, name)

    def resolve(self, reference: str | Reference) -> StoredVersion:
        """Return the version that a reference such as `cats`, `cats@live` or `cats:3` names.

        A name alone stands for its alias `live`, or else for its newest version.

        Raises:
            UsageError: If the text is not a valid reference.
            StoreError: If there is no such version.
        """
        reference = Reference.read(reference) if isinstance(reference, str) else reference
        state = self._known(reference.name)
        number: int = reference.version or state.current or 0
        if reference.alias is not None:
            if reference.alias not in state.aliases:
                raise no_alias(reference.name, reference.alias, state)
            number = state.aliases[reference.alias]
        if number not in state.versions:
            raise no_version(reference, number, state)
        return self._stored(state, number)

    def versions(self, name: str) -> tuple[StoredVersion, ...]:
        """Return the complete versions of a name in ascending order.

        Raises:
            StoreError: If there is no such name.
        """
        state = self._known(name)
        return tuple(self._stored(state, number) for number in state.versions)

    def bundle(self, name: str, version: int) -> Bundle:
        """Open and verify a version; a version at a URL is first downloaded to the cache.

        Raises:
            BundleError: If it is damaged.
            StoreError: If it is not there.
        """
        return open_bundle(self.files, name, version)

    def problem(self, name: str, version: int) -> str | None:
        """Return what is wrong with a version, or None; reads every file."""
        return problem_of(self.files, name, version)

    def record(self, name: str, version: int) -> Record | None:
        """Return the record of a version; None for a bundle that was copied there by hand.

        Raises:
            StoreError: If the record is damaged.
        """
        return read_record(self.files, name, version)

    def answers(self, name: str, version: int) -> AnswerTable | None:
        """Return the answers of a version to its validation pictures, if they are known."""
        content = self.files.read(name, f"{version}/{ANSWERS_NAME}")
        return None if content is None else AnswerTable.from_bytes(content)

    def push(
        self,
        bundle: Bundle,
        name: str,
        *,
        answers: AnswerTable | None = None,
        parent: int | None = None,
        note: str = "",
    ) -> StoredVersion:
        """Publish a bundle as the next version of a name.

        Args:
            bundle: The bundle.
            name: The name, which is created if it does not exist.
            answers: Answers of the bundle to its validation pictures, for the paired difference.
            parent: Version to compare it with; None takes the current one.
            note: A remark that is stored with the version.

        Raises:
            UsageError: If the name is invalid or used for another task, or the store cannot be
                written to.
            StoreError: If the parent does not exist.
        """
        state = self.state(check_name(name))
        number = parent or state.current
        if number is not None and number not in state.versions:
            raise no_version(Reference(name, number), number, state)
        record = describe(bundle, answers, self._parent(name, number), note)
        content = content_of(bundle, record, answers)
        version = self.files.publish(name, content, lambda: self.read_aliases(name).highest)
        return StoredVersion(name, version, (), record)

    def promote(
        self,
        reference: str | Reference,
        alias: str = LIVE,
        *,
        force: bool = False,
        who: str | None = None,
    ) -> Move:
        """Point an alias at a version.

        If a test set is pinned, this version and the one that the alias points at are evaluated on
        it, unless they have been before.

        Args:
            reference: Version, such as `cats:3`.
            alias: The alias, which is created if it does not exist.
            force: Promote even if the version is worse or cannot be compared; the history records
                this.
            who: User name for the history; None takes the current user.

        Raises:
            PromotionRefused: If the version is worse on the pinned test set.
            StoreError: If the version does not exist, or could not be compared.
            BundleError: If it is damaged.
        """
        stored = self.resolve(reference)
        return changes.promote(
            self.files,
            self.measure,
            stored.name,
            stored.version,
            alias,
            force=force,
            who=who or user_name(),
        )

    def rollback(self, name: str, alias: str = LIVE, *, who: str | None = None) -> Move:
        """Point an alias at its previous version again.

        Versions that are missing or damaged are skipped and logged. Nothing is evaluated: a
        rollback must always be possible.

        Raises:
            StoreError: If there is no such name or alias, or no earlier version of it.
        """
        return changes.rollback(
            self.files, lambda: self._known(name), alias, who=who or user_name()
        )

    def remove(self, reference: str | Reference) -> StoredVersion:
        """Remove a version; its number is not used again.

        Raises:
            UsageError: If the version has an alias.
            StoreError: If it is not there.
        """
        stored = self.resolve(reference)
        changes.remove(self.files, stored.name, stored.version)
        return stored

    def prune(self, name: str, keep: int, *, dry_run: bool = False) -> tuple[int, ...]:
        """Remove old versions, and return their numbers.

        Args:
            name: The name.
            keep: Number of the newest versions to keep. Versions with an alias, and targets of a
                rollback, are kept as well.
            dry_run: Only return what would be removed.
        """
        self.resolve(Reference(name))
        return (changes.prunable if dry_run else changes.prune)(self.files, name, keep)

    def pin(self, name: str, test: TestSet | None) -> None:
        """Pin the test set on which versions are compared before they are promoted.

        Args:
            name: The name.
            test: The test set; None removes the pinned one.
        """
        self.resolve(Reference(name))
        changes.pin(self.files, name, test)

    def test_result(self, name: str, version: int) -> TestResult | None:
        """Return the result of a version on the pinned test set; None if none is pinned.

        Raises:
            StoreError: If the version has not been evaluated and this store cannot evaluate it, or
                the pictures differ from those that were pinned.
        """
        test = self.read_aliases(name).test
        return (
            None
            if test is None
            else changes.test_result(self.files, self.measure, name, version, test)
        )

    def read_aliases(self, name: str) -> Aliases:
        """Return the contents of `aliases.json`; empty if there is none.

        Raises:
            StoreError: If it is damaged.
        """
        return read_aliases(self.files, name)

    def _parent(
        self, name: str, number: int | None
    ) -> tuple[int, Record, AnswerTable | None] | None:
        if number is None:
            return None
        try:
            record, answers = self.record(name, number), self.answers(name, number)
            if record is None:
                # Copied there by hand: its metrics are in its bundle.
                record = describe(self.bundle(name, number), None, None, "")
        except FovealError as error:
            # A new version may be what mends it.
            logger.warning("not compared with %s:%d: %s", name, number, error.message)
            return None
        return number, record, answers

    def _known(self, name: str) -> NameState:
        """Return the state of a name that has a version."""
        state = self.state(name)
        if not state.versions:
            raise no_name(name, self.location, self.names())
        return state

    def _stored(self, state: NameState, number: int) -> StoredVersion:
        record = self.record(state.name, number)
        return StoredVersion(state.name, number, state.aliases_of(number), record)
