"""The trials of a study in Optuna's journal."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, final

from foveal.atomic import drop_unfinished_line, hold
from foveal.extras import import_extra
from foveal.tune.space import Space, Value

REDUCTION = 3
"""Of the trials that reach a rung, the best third goes on."""
# With fewer trials in a bracket, recipes are drawn at random.
_RANDOM_FIRST = 6
_NAME = "foveal"
_DEFAULT = "default"


def optuna() -> Any:
    """Return the package.

    Raises:
        MissingExtraError: If it is not installed.
    """
    module = import_extra("optuna", "tune", "Tuning needs Optuna")
    # It writes to the terminal by itself otherwise.
    module.logging.set_verbosity(module.logging.ERROR)
    return module


@final
class FileLock:
    """Locks the journal for one writer; unlike a file that marks it, it ends with the process.

    A line that a writer was killed within is cut off by the next one.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = journal.with_suffix(".lock")
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        hold(self._descriptor)
        with self._journal.open("rb+") as file:
            drop_unfinished_line(file)
        return True

    def release(self) -> None:
        """End it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@final
class _Drawing:
    """A trial of Optuna that seeds the sampler anew before each value that is drawn.

    Args:
        trial: The trial.
        reseed: Told what is drawn next.
    """

    def __init__(self, trial: Any, reseed: Callable[[str], None]) -> None:
        self._trial = trial
        self._reseed = reseed
        reseed("")
        # What is drawn together is drawn now.
        _ = trial.relative_params

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Draw a number."""
        self._reseed(name)
        return float(self._trial.suggest_float(name, low, high, log=log))

    def suggest_categorical(self, name: str, choices: list[Value]) -> Value:
        """Draw one of several values."""
        self._reseed(name)
        value: Value = self._trial.suggest_categorical(name, choices)
        return value


@final
class Journal:
    """The trials of a study.

    Args:
        path: The journal; made when it is not there.
        space: What is searched.
        rungs: The largest resource of a trial, in parts of its training; 1 judges none before
            its end.
        seed: Seed of the values that are drawn.
    """

    def __init__(self, path: Path, space: Space, rungs: int, seed: int = 0) -> None:
        self._package = package = optuna()
        self._space = space
        self._seed = seed
        backend = package.storages.journal
        with _quiet():
            storage = package.storages.JournalStorage(
                backend.JournalFileBackend(str(path), lock_obj=FileLock(path))
            )
            pruner: Any = package.pruners.NopPruner()
            if rungs > 1:
                pruner = package.pruners.HyperbandPruner(
                    min_resource=1, max_resource=rungs, reduction_factor=REDUCTION
                )
            self.study: Any = package.create_study(
                study_name=_NAME,
                storage=storage,
                pruner=pruner,
                direction="maximize",
                load_if_exists=True,
            )
        self.states: Any = package.trial.TrialState

    def trials(self) -> list[Any]:
        """Return all trials, by number."""
        trials: list[Any] = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.state is not self.states.WAITING]

    def ask(self) -> tuple[Any, dict[str, Value]]:
        """Begin a trial; return it and its values: of the first, those of the default recipe."""
        with _quiet():
            if not self.study.get_trials(deepcopy=False):
                held = {d.key: d.default for d in self._space if d.holds(d.default)}
                values = {key: v for key, v in self._space.default.items() if key in held}
                self.study.enqueue_trial(values, user_attrs={_DEFAULT: True})
            return self.take_up(self.study.ask()._trial_id)

    def take_up(self, trial_id: int) -> tuple[Any, dict[str, Value]]:
        """Return a running trial and its values.

        What it had not drawn yet is drawn as it would have been: each value has a seed of its own.
        """
        with _quiet():
            trial = self._package.trial.Trial(self.study, trial_id)
            if trial.user_attrs.get(_DEFAULT):
                self._space.ask_default(trial)
                return trial, self._space.default
            drawing = _Drawing(trial, partial(self._reseed, trial.number))
            return trial, self._space.ask(drawing)

    def _reseed(self, number: int, key: str) -> None:
        digest = hashlib.sha256(f"{self._seed}/{number}/{key}".encode()).digest()
        self.study.sampler = self._package.samplers.TPESampler(
            n_startup_trials=_RANDOM_FIRST,
            constant_liar=True,
            seed=int.from_bytes(digest[:4], "big"),
        )

    def judge(self, trial: Any, rung: int, value: float) -> bool:
        """Report what a trial has reached; return whether it is given up.

        The default recipe never is: everything is compared with it.
        """
        with _quiet():
            trial.report(value, rung)
            return not trial.user_attrs.get(_DEFAULT) and bool(trial.should_prune())

    def is_running(self, trial: Any) -> bool:
        """Return whether a trial has not ended yet."""
        running = self.states.RUNNING
        return any(t.number == trial.number and t.state is running for t in self.trials())

    def note(self, trial: Any, **about: Any) -> None:
        """Keep facts about a trial."""
        for name, value in about.items():
            trial.set_user_attr(name, value)

    def tell(self, trial: Any, state: Any, value: float | None = None) -> None:
        """End a trial."""
        with _quiet():
            self.study.tell(trial, value, state=state)


def is_default(trial: Any) -> bool:
    """Return whether a trial is that of the default recipe."""
    return bool(trial.user_attrs.get(_DEFAULT))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings about experimental parts of Optuna to ourselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
