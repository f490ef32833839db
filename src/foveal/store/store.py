"""A store of models: find versions and open them, publish, promote, roll back, remove."""

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

    What is read may change at any moment: other processes publish and promote. Nothing half is
    ever seen.

    Args:
        files: Where they are; `Store.open` takes a path or a URL.
        measure: Measures versions that are to be promoted; None refuses those that were not
            measured on the pinned test set before.
    """

    def __init__(self, files: StoreFiles, *, measure: Measure | None = None) -> None:
        self.files = files
        self.measure = measure

    def __repr__(self) -> str:
        """Return where it is."""
        return f"Store({self.location!r})"

    @classmethod
    def open(cls, location: str | Path | None = None, *, measure: Measure | None = None) -> Store:
        """Return the store at a path or an fsspec URL, which need not be there yet.

        Args:
            location: Path or URL; None takes the variable `FOVEAL_STORE`, or else `models`.
            measure: As for `Store`; `foveal.open_store` gives one.

        Raises:
            MissingExtraError: When the URL's kind needs a package that is not installed.
            UsageError: When the URL is of no known kind.
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
        """Return which versions and aliases a name has now; cheap enough for every second.

        Raises:
            StoreError: When `aliases.json` is damaged.
        """
        return look(self.files, name)

    def resolve(self, reference: str | Reference) -> StoredVersion:
        """Return the version that `cats`, `cats@live` or `cats:3` stands for.

        A name alone stands for its alias `live`, or else for its newest version.

        Raises:
            UsageError: When the text is no such reference.
            StoreError: When there is none.
        """
        reference = Reference.read(reference) if isinstance(reference, str) else reference
        state = self.state(reference.name)
        if not state.versions:
            raise no_name(reference.name, self.location, self.names())
        number: int = reference.version or state.current or 0
        if reference.alias is not None:
            if reference.alias not in state.aliases:
                raise no_alias(reference.name, reference.alias, state)
            number = state.aliases[reference.alias]
        if number not in state.versions:
            raise no_version(reference, number, state)
        return self._stored(state, number)

    def versions(self, name: str) -> tuple[StoredVersion, ...]:
        """Return the versions of a name that are whole, ascending.

        Raises:
            StoreError: When there is no such name.
        """
        state = self.state(name)
        if not state.versions:
            raise no_name(name, self.location, self.names())
        return tuple(self._stored(state, number) for number in state.versions)

    def bundle(self, name: str, version: int) -> Bundle:
        """Open and verify a version; one behind a URL is copied to the cache of this machine.

        Raises:
            BundleError: When it is damaged.
            StoreError: When it is not there.
        """
        return open_bundle(self.files, name, version)

    def problem(self, name: str, version: int) -> str | None:
        """Return what is wrong with a version, or None; every file is read."""
        return problem_of(self.files, name, version)

    def record(self, name: str, version: int) -> Record | None:
        """Return how a version came to be; None for a bundle that somebody copied there.

        Raises:
            StoreError: When the record is damaged.
        """
        return read_record(self.files, name, version)

    def answers(self, name: str, version: int) -> AnswerTable | None:
        """Return how a version answered its validation pictures, where that is known."""
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
            name: The name; a new one is made.
            answers: Its answers to the validation pictures, for the paired difference.
            parent: The version to compare it with; None takes the current one.
            note: A remark that is kept with the version.

        Raises:
            UsageError: For an invalid name, another task, or a store that cannot be written to.
            StoreError: When there is no such parent.
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

        If a test set is pinned, this version and the one that the alias points at now are measured
        on it, unless they were before.

        Args:
            reference: The version.
            alias: The alias; a new one is made.
            force: Do it although the version is worse, or cannot be compared; the history says so.
            who: Who does it, for the history; None takes the user of this machine.

        Raises:
            PromotionRefused: When the version is worse on the pinned test set.
            StoreError: When it is not there, or could not be compared.
            BundleError: When it is damaged.
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
        """Point an alias back at the version that it was before it was promoted.

        Versions that are gone or damaged are passed over, and named in the log. Nothing is
        measured: a rollback must always be possible.

        Raises:
            StoreError: When there is no such alias, or no earlier version of it.
        """
        return changes.rollback(self.files, name, alias, who=who or user_name())

    def remove(self, reference: str | Reference) -> StoredVersion:
        """Remove a version; its number is not given again.

        Raises:
            UsageError: When it has an alias.
            StoreError: When it is not there.
        """
        stored = self.resolve(reference)
        changes.remove(self.files, stored.name, stored.version)
        return stored

    def prune(self, name: str, keep: int, *, dry_run: bool = False) -> tuple[int, ...]:
        """Remove old versions, and return which.

        Args:
            name: The name.
            keep: Number of the newest versions that stay. Those with an alias, and those that a
                rollback would go to, stay as well.
            dry_run: Remove nothing.
        """
        self.resolve(Reference(name))
        return (changes.prunable if dry_run else changes.prune)(self.files, name, keep)

    def pin(self, name: str, test: TestSet | None) -> None:
        """Pin the test set that versions are compared on before they are promoted.

        Args:
            name: The name.
            test: The test set; None pins none any more.
        """
        self.resolve(Reference(name))
        changes.pin(self.files, name, test)

    def test_result(self, name: str, version: int) -> TestResult | None:
        """Return how a version does on the pinned test set; None where none is pinned.

        Raises:
            StoreError: When it was not measured and this store measures none, or the pictures are
                not those that were pinned.
        """
        test = self.read_aliases(name).test
        return (
            None
            if test is None
            else changes.test_result(self.files, self.measure, name, version, test)
        )

    def read_aliases(self, name: str) -> Aliases:
        """Return what `aliases.json` says; empty where there is none.

        Raises:
            StoreError: When it is damaged.
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

    def _stored(self, state: NameState, number: int) -> StoredVersion:
        record = self.record(state.name, number)
        return StoredVersion(state.name, number, state.aliases_of(number), record)
