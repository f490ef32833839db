"""Follow one name of a store: load and swap its versions."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from foveal.errors import FovealError
from foveal.predict import Predictor
from foveal.server.models.served import Canary, ModelSet, Served, Versions, VersionStatus
from foveal.server.options import ServerOptions
from foveal.store.reference import Reference
from foveal.store.state import NameState
from foveal.store.store import Store

logger = logging.getLogger(__name__)

# A version that could not be loaded is tried again after this: what was damaged stays damaged,
# but memory and networks recover.
_RETRY_S = 60.0


@final
@dataclass(frozen=True, slots=True)
class Followed:
    """A served name that follows a store.

    Attributes:
        store: Where its versions are.
        name: Its name, in the store and in the routes.
        choices: Which versions answer; the first one answers requests that ask for none.
        canary: A version that answers a share of these.
        shadow: A version whose answers are only compared.
    """

    store: Store
    name: str
    choices: Sequence[Reference]
    canary: Canary | None = None
    shadow: int | None = None


@final
class Follower:
    """Keeps one name of a `ModelSet` in step with the store. Used by one thread at a time.

    A version is loaded and has answered its warm-up before it replaces another; the one that it
    replaces answers the requests that have it, and is freed with the last of them. Whatever
    cannot be loaded leaves things as they are.

    Args:
        followed: What to follow.
        models: Where it is served.
        options: Limits of the models.
        count: Told of each attempt to load a version: name, version, seconds, and the error.
    """

    def __init__(
        self,
        followed: Followed,
        models: ModelSet,
        options: ServerOptions,
        count: Callable[[str, int, float, Exception | None], None],
    ) -> None:
        self._followed = followed
        self._models = models
        self._options = options
        self._count = count
        self._loaded: dict[int, Served] = {}
        self._answering: list[int | None] = [None] * len(followed.choices)
        # Version → code of the error, and when to try again.
        self._failed: dict[int, tuple[str, float]] = {}
        self._going: dict[int, weakref.ref[Served]] = {}
        self._seen: NameState | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self._followed.name

    @property
    def store(self) -> Store:
        """Where its versions are."""
        return self._followed.store

    def follow(self, *, again: bool = False, strict: bool = False) -> None:
        """Look at the store, and load, swap and let go what has changed.

        Args:
            again: Also try what could not be loaded before.
            strict: Raise what a version cannot be loaded for.

        Raises:
            FovealError: If the store cannot be read.
            OSError: The same.
        """
        self._forget_gone()
        now = time.monotonic()
        due = [v for v, (_, when) in self._failed.items() if again or now >= when]
        for version in due:
            del self._failed[version]
        state = self._followed.store.state(self.name)
        if state == self._seen and not due:
            return
        self._seen = state
        wanted = self._wanted(state)
        for version in dict.fromkeys(version for version in wanted if version is not None):
            if version not in self._loaded and version not in self._failed:
                self._load(version, strict)
        self._swap(state, wanted[: len(self._answering)])

    def _wanted(self, state: NameState) -> list[int | None]:
        """Return the version that each choice means now, then the canary and the shadow."""
        followed = self._followed
        chosen = [_resolve(choice, state) for choice in followed.choices]
        canary = None if followed.canary is None else followed.canary.version
        return [*chosen, canary, followed.shadow]

    def _load(self, version: int, strict: bool) -> None:
        followed = self._followed
        self._note({version: VersionStatus(version, "LOADING")})
        begun = time.perf_counter()
        failure: Exception | None = None
        try:
            bundle = followed.store.bundle(self.name, version)
            served = Served(
                self.name,
                version,
                Predictor(bundle),
                self._options,
                decoder=self._models.decoder,
            )
            served.warm_up()
            self._loaded[version] = served
        except Exception as error:  # Whatever it is: what is served must go on being served.
            if strict:
                raise
            failure = error
            code = error.error_code if isinstance(error, FovealError) else "internal"
            # Not the error: its traceback would keep what was loaded of the model.
            self._failed[version] = (code, time.monotonic() + _RETRY_S)
            logger.error(
                "%s:%d cannot be loaded: %s",
                self.name,
                version,
                error,
                exc_info=None if isinstance(error, FovealError) else error,
            )
        self._count(self.name, version, time.perf_counter() - begun, failure)

    def _swap(self, state: NameState, wanted: Sequence[int | None]) -> None:
        before = self._answering
        # Where a new version is not there, the one that answered goes on.
        self._answering = [
            new if new in self._loaded else old for new, old in zip(wanted, before, strict=True)
        ]
        canary, shadow = self._followed.canary, self._followed.shadow
        if canary is not None and canary.version not in self._loaded:
            canary = None
        if shadow not in self._loaded:
            shadow = None
        kept = {*self._answering, shadow, None if canary is None else canary.version}
        for version in [v for v in self._loaded if v not in kept]:
            self._going[version] = weakref.ref(self._loaded.pop(version))
        current = self._answering[0]
        if current is None:
            self._note({})
            return
        aliases = {alias: v for alias, v in state.aliases.items() if v in self._loaded}
        for choice, answering in zip(self._followed.choices, self._answering, strict=True):
            if choice.alias is not None and answering is not None:
                aliases[choice.alias] = answering
        loaded = dict(self._loaded)
        # First that a version is going, then that it is gone from the routes: who asks in between
        # is told what is still true.
        self._note({})
        self._models.put(self.name, Versions(loaded, current, aliases, canary, shadow))
        self._note({})
        if before[0] is not None and current != before[0]:
            logger.info(
                "%s: version %d is now served, previously %d", self.name, current, before[0]
            )

    def _forget_gone(self) -> None:
        gone = [version for version, served in self._going.items() if served() is None]
        for version in gone:
            del self._going[version]
        if gone:
            self._note({})

    def _note(self, more: Mapping[int, VersionStatus]) -> None:
        going = {v: VersionStatus(v, "UNLOADING") for v in self._going}
        failed = {v: VersionStatus(v, "END", code) for v, (code, _) in self._failed.items()}
        self._models.note(self.name, {**going, **failed, **more})


def _resolve(choice: Reference, state: NameState) -> int | None:
    if choice.version is not None:
        return choice.version
    return state.current if choice.alias is None else state.aliases.get(choice.alias)
