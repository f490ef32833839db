"""The models to serve, and the thread that keeps them up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final

from foveal.bundle.bundle import Bundle
from foveal.errors import FovealError, UsageError
from foveal.predict import Predictor
from foveal.predict.choice import choose
from foveal.server.models.follow import Followed, Follower
from foveal.server.models.served import ModelSet, Served, Versions
from foveal.server.options import ServerOptions
from foveal.store.reference import Reference
from foveal.store.store import Store

logger = logging.getLogger(__name__)

# Of a bundle that is served from its path; each reload of a changed one counts on. Its own
# version, a hash, stands in every prediction.
_FIRST_VERSION = 1


@final
@dataclass(frozen=True, slots=True)
class Offer:
    """The models to serve.

    Attributes:
        fixed: Name in the routes → predictor of a bundle at a path. Opened again on a reload.
        followed: Names of stores.
        store: A store all of whose names are served, also those that come later.
    """

    fixed: Mapping[str, Predictor] = field(default_factory=dict)
    followed: tuple[Followed, ...] = ()
    store: Store | None = None


Offered = Offer | Mapping[str, Predictor]
"""An offer, or only its bundles at paths."""


@final
class Loader:
    """Loads the models of a server, and follows the stores in a thread.

    Loading never happens on the event loop, and requests never wait for it.

    Args:
        offered: What to serve.
        models: Where it is served.
        options: Limits of the models, and how often to look.
        count: Told of each attempt to load a version: name, version, seconds, and the error.
    """

    def __init__(
        self,
        offered: Offered,
        models: ModelSet,
        options: ServerOptions,
        count: Callable[[str, int, float, Exception | None], None],
    ) -> None:
        self._offer = offered if isinstance(offered, Offer) else Offer(offered)
        self._models = models
        self._options = options
        self._count = count
        self._followers: dict[str, Follower] = {}
        self._troubles: dict[str, str] = {}
        self._wake = threading.Event()
        self._again = False
        self._ended = False
        self._thread: threading.Thread | None = None

    def load(self) -> None:
        """Load everything for the first time.

        Raises:
            UsageError: For no model, or a name that is offered twice or cannot stand in a route.
            FovealError: If a model that was named cannot be loaded, or none of a store can.
        """
        names = [*self._offer.fixed, *(followed.name for followed in self._offer.followed)]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"Two models are named {name!r}.", hint="serve only one of them")
        for name, predictor in self._offer.fixed.items():
            self._put_fixed(self._served(name, _FIRST_VERSION, predictor))
        for followed in self._offer.followed:
            self._follower(followed).follow(strict=True)
            if followed.name not in self._models:
                raise UsageError(
                    f"The requested version of {followed.name!r} is not in the store.",
                    hint=f"foveal models show {followed.name}",
                )
        if self._offer.store is not None:
            self._follow_names(self._offer.store)
        if not self._models:
            raise UsageError("No model was given to serve.", hint="foveal serve MODEL")

    def store_of(self, name: str) -> Store | None:
        """Return the store that a name is followed in; None for a bundle at a path."""
        follower = self._followers.get(name)
        return None if follower is None else follower.store

    def start(self) -> None:
        """Follow the stores from now on."""
        self._thread = threading.Thread(target=self._run, name="foveal-loader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, once it has finished what it is at."""
        self._ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def reload(self) -> None:
        """Look at once, at bundles at paths too, and try again what could not be loaded."""
        self._again = True
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._options.poll_s)
            self._wake.clear()
            if self._ended:
                return
            again, self._again = self._again, False
            self._look(again)

    def _look(self, again: bool) -> None:
        for name, follower in list(self._followers.items()):
            self._attempt(name, lambda f=follower: f.follow(again=again))  # type: ignore[misc]
        if (store := self._offer.store) is not None:
            self._attempt("the store", lambda: self._follow_names(store))
        for name in self._offer.fixed if again else ():
            self._attempt(name, lambda name=name: self._reopen(name))  # type: ignore[misc]

    def _attempt(self, what: str, do: Callable[[], None]) -> None:
        """Do something that may fail for a while; say so once, and again when it has changed."""
        try:
            do()
            trouble = ""
        except Exception as error:  # The thread must live: its next look may find all well.
            trouble = str(error)
            if trouble != self._troubles.get(what):
                is_known = isinstance(error, (FovealError, OSError))
                logger.error(
                    "%s cannot be followed: %s", what, error, exc_info=None if is_known else error
                )
        self._troubles[what] = trouble

    def _follow_names(self, store: Store) -> None:
        """Begin to serve the names that a store has come to have.

        What vanishes from it goes on being served until the server ends: an accident there must
        not end an answer here.
        """
        for name in store.names():
            if name not in self._followers and name not in self._offer.fixed:
                self._attempt(
                    name, self._follower(Followed(store, name, (Reference(name),))).follow
                )

    def _follower(self, followed: Followed) -> Follower:
        follower = Follower(followed, self._models, self._options, self._count)
        self._followers[followed.name] = follower
        return follower

    def _served(self, name: str, version: int, predictor: Predictor) -> Served:
        return Served(name, version, predictor, self._options, decoder=self._models.decoder)

    def _put_fixed(self, served: Served) -> None:
        self._models.put(served.name, Versions({served.version: served}, served.version))

    def _reopen(self, name: str) -> None:
        """Load the bundle at a path again where it has been replaced."""
        served = self._models[name].loaded[self._models[name].current]
        before = served.predictor
        if all(Bundle.open(bundle.path).version == bundle.version for bundle in before.bundles):
            return
        first, *others = (Predictor(Bundle.open(bundle.path)) for bundle in before.bundles)
        engine = first.engine if served.engine is None else choose(first, served.engine.asked)
        predictor = Predictor(first.bundle, engine=engine, others=others)
        new = self._served(name, served.version + 1, predictor)
        new.warm_up()
        self._put_fixed(new)
        logger.info("%s: the bundle was replaced; the new one is now served", name)
