"""Training on pictures drawn on demand: the next set is drawn while this one is used."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias, final

from torch import nn

from foveal.data.cache import Cache
from foveal.data.decode import DecodeLimits
from foveal.errors import DataError
from foveal.machine import available_cores, background_pool
from foveal.pipeline import Pipeline
from foveal.synth import SynthSource
from foveal.train.data import Batch, Loader
from foveal.train.distributed import Group
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord

logger = logging.getLogger(__name__)


# Of the labels that a set favours, in the log.
_NAMED = 6


class _Stopped(Exception):
    """Raised if drawing is cancelled."""


@final
class _Stop:
    """A `Progress` that ends the work when it is told how far that is."""

    def __init__(self) -> None:
        self.asked = False

    def start(self, title: str, total: int | None) -> None:
        """Take no note."""

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Give up when asked to."""
        if self.asked:
            raise _Stopped

    def finish(self) -> None:
        """Take no note."""


MakeLoader: TypeAlias = Callable[[Cache, SynthSource], Loader]
"""Builds the loader of one set of pictures."""


@final
class EndlessLoader:
    """A `Loader` whose pictures are replaced after some epochs by later ones of their stream.

    Which pictures an epoch has follows from its number and from what the validations before it
    confused, which checkpoints keep, so a resumed run sees what an uninterrupted one would have
    seen. At most two sets are on disk. A `Callback` of the fit.

    Args:
        first: The loader of the pictures that are there already.
        source: Those pictures; says which come later.
        make: Builds the loader of later ones.
        pipeline: Brings them to the model input.
        limits: Limits for pictures.
        directory: Where the sets are kept, one folder each.
        every: Epochs on one set, at least 1.
        epochs: Number of epochs, or None if it is unknown.
        focus: Share of the characters that are drawn from those confused; see `Kind.favouring`.
        group: The processes that train together: one draws, the others open what it drew.
    """

    def __init__(
        self,
        first: Loader,
        source: SynthSource,
        make: MakeLoader,
        *,
        pipeline: Pipeline,
        limits: DecodeLimits,
        directory: Path,
        every: int,
        epochs: int | None,
        focus: float,
        group: Group,
    ) -> None:
        self._first = first
        self._source = source
        self._make = make
        self._pipeline = pipeline
        self._limits = limits
        self._directory = directory
        self._every = every
        self._focus = focus
        self._group = group
        self._confused: dict[int, dict[str, int]] = {}
        self._sets = None if epochs is None else -(-epochs // every)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="foveal-draw")
        # With equal shares of the cores, training would wait for its slowest thread at every step.
        # The processes start with the first set.
        self._open = ExitStack()
        self._artists = self._open.enter_context(background_pool(available_cores()))
        self._stop = _Stop()
        self._drawn: dict[int, Future[tuple[Cache, SynthSource]]] = {}
        self._used: tuple[int, Cache, Loader] | None = None

    def close(self) -> None:
        """Stop drawing; what was begun is thrown away."""
        self._stop.asked = True
        self._pool.shutdown(cancel_futures=True)
        self._open.close()

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Take up what the epochs before a resumption confused."""
        self._confused = {record.epoch: record.confused for record in history}

    def step_done(self, step: StepRecord) -> None:
        """Ignore."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Keep what was confused: later sets show it more often."""
        self._confused[record.epoch] = record.confused

    def fit_ended(self, result: FitResult) -> None:
        """Ignore."""

    @property
    def samples(self) -> int:
        """Return how many samples an epoch has."""
        return self._first.samples

    def __len__(self) -> int:
        """Return how many batches an epoch has; with pictures of many widths about as many."""
        return len(self._first)

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches of an epoch, from `first_batch` on."""
        number = epoch // self._every
        loader = self._loader(number)
        if self._group.writes and (self._sets is None or number + 1 < self._sets):
            self._draw(number + 1)
        yield from loader.epoch(epoch, first_batch)

    def _loader(self, number: int) -> Loader:
        if number == 0:
            return self._first
        if self._used is None or self._used[0] != number:
            if self._group.writes:
                cache, source = self._draw(number).result()
                del self._drawn[number]
            self._group.wait()
            if not self._group.writes:
                cache, source = Cache.open(self._directory_of(number)), self._later(number)
            if self._used is not None:
                self._used[1].close()
                if self._group.writes:
                    shutil.rmtree(self._used[1].directory, ignore_errors=True)
            self._used = (number, cache, self._make(cache, source))
        return self._used[2]

    def _directory_of(self, number: int) -> Path:
        return self._directory / f"set-{number:06d}"

    def _later(self, number: int) -> SynthSource:
        kind = self._source.kind.favouring(self._favoured(number), self._focus)
        return self._source.later(number, self._first.samples, kind)

    def _favoured(self, number: int) -> dict[str, int]:
        # Drawn from the first epoch of the set before it on: known are the epochs before that.
        return self._confused.get((number - 1) * self._every, {}) if self._focus else {}

    def _draw(self, number: int) -> Future[tuple[Cache, SynthSource]]:
        if number not in self._drawn:
            self._drawn[number] = self._pool.submit(self._build, number)
        return self._drawn[number]

    def _build(self, number: int) -> tuple[Cache, SynthSource]:
        source = self._later(number)
        directory = self._directory_of(number)
        if Cache.is_complete(directory):  # a killed run had drawn it already
            return Cache.open(directory), source
        cache = Cache.build(
            source,
            self._pipeline,
            directory,
            self._limits,
            workers=available_cores(),
            progress=self._stop,
            pool=self._artists,
            # Only the first set is checked and divided.
            measured=False,
        )
        if cache.scan.errors:
            code, message = next(iter(cache.scan.errors.values()))
            raise DataError(
                f"{len(cache.scan.errors)} of the drawn pictures cannot be used: {message}",
                hint="--set data.fresh_every=0 keeps the first ones",
                code=code,
            )
        favoured = self._favoured(number)
        most = sorted(favoured, key=lambda label: -favoured[label])[:_NAMED]
        why = f", favouring {' '.join(most)}" if most else ""
        logger.info("drew set %d of %s%s", number, self._source.location, why)
        return cache, source
