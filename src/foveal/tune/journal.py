"""The trials of a study, in Optuna's journal: asked for, taken up again, judged and told."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from foveal.atomic import hold
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
        MissingExtraError: When it is not installed.
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
        mend(self._journal)
        return True

    def release(self) -> None:
        """End it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def mend(journal: Path) -> None:
    """Cut a journal after its last whole line."""
    with journal.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


@final
class Journal:
    """The trials of a study.

    Args:
        path: The journal; made when it is not there.
        space: What is searched.
        rungs: The largest resource of a trial, in parts of its training; 1 judges none before
            its end.
    """

    def __init__(self, path: Path, space: Space, rungs: int) -> None:
        self._package = package = optuna()
        self._space = space
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

    def ask(self, seed: int) -> tuple[Any, dict[str, Value]]:
        """Begin a trial; return it and its values. The first one has those of the default recipe.

        Args:
            seed: Of what is drawn.
        """
        with _quiet():
            self.study.sampler = self._package.samplers.TPESampler(
                n_startup_trials=_RANDOM_FIRST, constant_liar=True, seed=seed
            )
            if not self.study.get_trials(deepcopy=False):
                held = {d.key: d.default for d in self._space if d.holds(d.default)}
                values = {key: v for key, v in self._space.default.items() if key in held}
                self.study.enqueue_trial(values, user_attrs={_DEFAULT: True})
            return self.take_up(self.study.ask()._trial_id)

    def take_up(self, trial_id: int) -> tuple[Any, dict[str, Value]]:
        """Return a running trial and its values; what it had not drawn yet is drawn now."""
        with _quiet():
            trial = self._package.trial.Trial(self.study, trial_id)
            if trial.user_attrs.get(_DEFAULT):
                self._space.ask_default(trial)
                return trial, self._space.default
            return trial, self._space.ask(trial)

    def judge(self, trial: Any, rung: int, value: float) -> bool:
        """Report what a trial has reached; return whether it is given up.

        The default recipe never is: everything is compared with it.
        """
        with _quiet():
            trial.report(value, rung)
            return not trial.user_attrs.get(_DEFAULT) and bool(trial.should_prune())

    def note(self, trial: Any, **about: Any) -> None:
        """Keep facts about a trial."""
        for name, value in about.items():
            trial.set_user_attr(name, value)

    def tell(self, trial: Any, state: Any, value: float | None = None) -> None:
        """End a trial."""
        with _quiet():
            self.study.tell(trial, value, state=state)


def is_default(trial: Any) -> bool:
    """Tell whether a trial is that of the default recipe."""
    return bool(trial.user_attrs.get(_DEFAULT))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings about experimental parts of Optuna to ourselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
