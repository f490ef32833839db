"""Write checkpoints at intervals, and measure the training time."""

from __future__ import annotations

from collections.abc import Callable

from foveal.errors import FovealError
from foveal.train.checkpoint import Checkpoint, CheckpointStore
from foveal.train.distributed import Group
from foveal.train.state import RunState


class Saver:
    """The clock and the checkpoints of a fit.

    Args:
        store: Where checkpoints go, or None for nowhere.
        clock: Seconds, never going back.
        writes: Whether this process writes them; of several that train together one does.
    """

    def __init__(
        self, store: CheckpointStore | None, clock: Callable[[], float], *, writes: bool = True
    ) -> None:
        self._store = store
        self._clock = clock
        self._writes = writes
        self._started_s = self._saved_s = clock()
        self._cost_s = 0.0

    def latest(self, group: Group) -> Checkpoint | None:
        """Return the latest whole checkpoint, if any: the same one in all processes of the group.

        Raises:
            FovealError: If they do not see the same.
        """
        checkpoint = self._store.load() if self._store else None
        steps = -1 if checkpoint is None else int(checkpoint.state["step"])
        seen = group.gather(steps)
        if len(set(seen)) > 1:
            raise FovealError(
                f"The processes that train together found different checkpoints (steps {seen}).",
                hint="use an --out that all machines share",
                code="checkpoint_mismatch",
            )
        return checkpoint

    def clear(self) -> None:
        """Remove the checkpoints of an earlier run."""
        if self._store and self._writes:
            self._store.clear()

    def start_at(self, elapsed_s: float) -> None:
        """Go on with the clock of a run that is resumed."""
        self._started_s = self._clock() - elapsed_s

    def elapsed_s(self) -> float:
        """Return the seconds of training so far, the parts before a resume included."""
        return self._clock() - self._started_s

    def save_if_due(self, state: RunState, *, within_epoch: bool) -> None:
        """Save when enough time has passed, or at the end of any epoch that is not too short."""
        age_s = self._clock() - self._saved_s
        if self._store is None or age_s * self._store.largest_share < self._cost_s:
            return
        if not within_epoch or age_s >= self._store.every_s:
            self.save(state)

    def save(self, state: RunState) -> None:
        """Write a checkpoint."""
        if self._store is None or not self._writes:
            return
        begun_s = self._clock()
        state.elapsed_s = self.elapsed_s()
        self._store.save(state.to_checkpoint())
        self._saved_s = self._clock()
        self._cost_s = self._saved_s - begun_s
