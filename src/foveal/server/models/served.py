"""The served models: the loaded versions of each name, and which of them answers."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias, final

import numpy as np

from foveal.data.decode import DecodeLimits, Decoder, decode
from foveal.errors import UsageError, unknown_name
from foveal.names import is_name
from foveal.predict import Predictor
from foveal.predict.choice import bundle_for, choose
from foveal.predict.engine import ONNX_RUNTIME, Engine
from foveal.predict.facts import facts_of
from foveal.predict.tuning import tuned_engine
from foveal.server.models.turns import TurnEngine
from foveal.server.options import ServerOptions
from foveal.server.request.limits import RequestError
from foveal.types import JsonObject, Picture

State: TypeAlias = Literal["LOADING", "AVAILABLE", "UNLOADING", "END"]
"""As TF Serving's: END is a version that could not be loaded."""


@final
class Served:
    """A loaded version of a model. A request keeps its version until it is answered.

    Args:
        name: In the routes.
        version: Its number in the store; 1 for a bundle that is served from its path.
        predictor: It keeps its network, and gets the server's limits.
        options: Limits. One that the operator sets holds instead of the model's, up or down: it
            is the operator who knows the machine's memory. What is not set is the model's, so that
            what was trained on is answered; only a body can never be larger than the server takes.
        decoder: Decodes the pictures; see `ModelSet`.

    Attributes:
        engine: What is known of what runs the network; None if that is not foveal's own.
        sample: The answer to the warm-up's picture, which says which fields a prediction has;
            empty until `warm_up`.
    """

    def __init__(
        self,
        name: str,
        version: int,
        predictor: Predictor,
        options: ServerOptions,
        *,
        decoder: Decoder = decode,
    ) -> None:
        self.name = name
        self.version = version
        engine = _engine(predictor, options)
        self.engine = facts_of(engine)
        self.predictor = Predictor(
            bundle_for(predictor.bundle, engine),
            engine=TurnEngine(engine) if predictor.pipeline.is_tiled else engine,
            limits=_limits(predictor.limits, options),
            others=[_rerun(other, options) for other in predictor.others],
            decoder=decoder,
        )
        self.sample: JsonObject = {}

    @property
    def is_ready(self) -> bool:
        """Whether it has answered its warm-up."""
        return bool(self.sample)

    def warm_up(self) -> None:
        """Answer a grey picture, with its explanation, before traffic comes."""
        grey = np.full((*self.predictor.pipeline.example_size, 3), 128, np.uint8)
        begun = time.perf_counter()
        prediction = self.predictor.predict([Picture.from_array(grey)], explain=True)[0]
        ms = 1000 * (time.perf_counter() - begun)
        self.sample = self.predictor.record(prediction, "warm-up", ms)


@final
@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The status of a version of a model.

    Attributes:
        version: Its number.
        state: AVAILABLE answers; UNLOADING still answers the requests that have it.
        error: Code of the error that a version could not be loaded for; "" without one.
    """

    version: int
    state: State
    error: str = ""


@final
@dataclass(frozen=True, slots=True)
class Canary:
    """A version that answers a share of the requests without a version.

    Attributes:
        version: Its number.
        share: How much of these requests it answers, in (0, 1].
    """

    version: int
    share: float


@final
@dataclass(frozen=True, slots=True)
class Versions:
    """The versions served under one name, immutable.

    Attributes:
        loaded: Version → the model.
        current: The version that answers a request that asks for none.
        aliases: Alias → version, of loaded ones.
        canary: A loaded version that answers some of the requests that ask for none.
        shadow: A loaded version that answers pictures for comparison; the client never sees that.
    """

    loaded: Mapping[int, Served]
    current: int
    aliases: Mapping[str, int] = field(default_factory=dict)
    canary: Canary | None = None
    shadow: int | None = None

    def roles(self, version: int) -> list[str]:
        """Return what a version is here: `current`, `canary, 5 %`, `shadow`."""
        roles = ["current"] if version == self.current else []
        if self.canary is not None and self.canary.version == version:
            roles.append(f"canary, {100 * self.canary.share:g} %")
        return [*roles, "shadow"] if version == self.shadow else roles

    def choose(self, version: int | None = None, alias: str | None = None) -> Served | None:
        """Return the version that answers a request: as `find`, but sometimes the canary.

        Each request is drawn for itself; whoever asks for a version or an alias gets that.
        """
        if version is None and alias is None and self.canary is not None:
            # Not a secret: nobody gains by knowing which version answers.
            if random.random() < self.canary.share:  # noqa: S311
                return self.loaded[self.canary.version]
        return self.find(version, alias)

    def find(self, version: int | None = None, alias: str | None = None) -> Served | None:
        """Return the version asked for, the current one when none is; None if it is not here."""
        if alias is not None:
            version = self.aliases.get(alias)
            return None if version is None else self.loaded[version]
        return self.loaded.get(self.current if version is None else version)


@final
class ModelSet(Mapping[str, Versions]):
    """Name → what is served under it.

    Read by requests without a lock: a name's versions are replaced in one assignment, so that a
    request sees those before or those after, and what it got answers it to the end.

    Args:
        decoder: Decodes the pictures of every model.
    """

    def __init__(self, decoder: Decoder = decode) -> None:
        self.decoder = decoder
        self._models: Mapping[str, Versions] = MappingProxyType({})
        self._others: Mapping[str, Mapping[int, VersionStatus]] = {}

    def __getitem__(self, name: str) -> Versions:
        """Return what is served under a name."""
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names, in the order in which they came."""
        return iter(self._models)

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self._models)

    def put(self, name: str, versions: Versions) -> None:
        """Serve `versions` under `name` from now on, instead of what was there.

        Raises:
            UsageError: For a name that cannot stand in a route.
        """
        if not is_name(name):
            raise UsageError(
                f"Invalid model name {name!r}. Expected up to 64 letters, digits, '.', '_' or '-'."
            )
        self._models = MappingProxyType({**self._models, name: versions})

    def note(self, name: str, others: Mapping[int, VersionStatus]) -> None:
        """Say how far the versions of a name are that are not served: loading, going, failed."""
        self._others = {**self._others, name: others}

    def statuses(self, name: str) -> list[VersionStatus]:
        """Return how far each version of a name is, the highest first; empty for a foreign name."""
        versions = self._models.get(name)
        known = dict(self._others.get(name, {}))
        for version, served in ({} if versions is None else versions.loaded).items():
            known[version] = VersionStatus(version, "AVAILABLE" if served.is_ready else "LOADING")
        return [known[version] for version in sorted(known, reverse=True)]

    def current(self) -> list[Served]:
        """Return the version of each name that answers a request that asks for none."""
        return [versions.loaded[versions.current] for versions in self._models.values()]

    def all(self) -> list[Served]:
        """Return every loaded version of every name."""
        return [served for versions in self._models.values() for served in versions.loaded.values()]

    def request(self, name: str, version: int | None = None, alias: str | None = None) -> Served:
        """Return the model that answers a request; see `Versions.choose`.

        Raises:
            RequestError: 404, with the nearest name.
        """
        versions = self._models.get(name)
        if versions is None:
            if not is_name(name):
                raise RequestError(404, "Unknown model: not a valid model name.")
            raise RequestError(404, unknown_name("model", name, self._models))
        served = versions.choose(version, alias)
        if served is None:
            asked = f"alias {alias[:64]!r}" if alias is not None else f"version {version}"
            raise RequestError(404, f"Model {name!r} has no {asked} here.")
        return served


def _engine(predictor: Predictor, options: ServerOptions) -> Engine:
    """Return what runs the network here."""
    if options.engine is None or options.engine == ONNX_RUNTIME:
        return tuned_engine(predictor)
    return choose(predictor, options.engine, options.runtime_dir)


def _rerun(voter: Predictor, options: ServerOptions) -> Predictor:
    """Return a voter whose network is run by the server's engine."""
    if options.engine is None:
        return voter
    engine = _engine(voter, options)
    return Predictor(bundle_for(voter.bundle, engine), engine=engine, limits=voter.limits)


def _limits(own: DecodeLimits, options: ServerOptions) -> DecodeLimits:
    return DecodeLimits(
        max_bytes=min(own.max_bytes, options.max_body_bytes),
        max_pixels=options.max_pixels or own.max_pixels,
        hint="send a smaller picture",
    )
