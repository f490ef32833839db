"""Run a class in actors of Ray Data over rows, and hear of each row when it is done."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

from foveal.cluster.failures import said
from foveal.errors import FovealError
from foveal.extras import import_extra

# One in work and one waiting: more would leave the last rows to one actor.
_IN_FLIGHT = 2


def run_rows(
    ray: Any,
    rows: Sequence[Any],
    make: Callable[[], Callable[[Any], Any]],
    *,
    workers: int | None,
    resources: dict[str, float],
) -> Iterator[Any]:
    """Yield what a function returns for each row, in the order in which rows are finished.

    An actor that dies is replaced, and its row is run again by another, without end.

    Args:
        ray: The module, connected to a cluster.
        rows: Anything small that can be pickled.
        make: Called in each actor, once: returns the function.
        workers: Actors, at most; None takes one for each core of the cluster.
        resources: `num_cpus` and `num_gpus` of an actor.

    Raises:
        FovealError: What the function raises, or when Ray cannot go on.
    """
    if not rows:
        return
    data = ray.data
    most = min(workers or _cores(ray), len(rows))
    context = data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with data.DataContext.current(context):
        packed = [{"row": pickle.dumps(row)} for row in rows]
        done = data.from_items(packed, override_num_blocks=len(rows)).map_batches(
            _Actor,
            fn_constructor_args=(make,),
            batch_size=1,
            batch_format="pyarrow",
            # Fewer start where there is no room for all.
            compute=data.ActorPoolStrategy(
                min_size=1,
                max_size=most,
                initial_size=most,
                max_tasks_in_flight_per_actor=_IN_FLIGHT,
            ),
            **resources,
        )
        try:
            for row in done.iter_rows():
                result = pickle.loads(row["row"])  # noqa: S301  # Written by our own actor.
                if isinstance(result, FovealError):
                    raise result
                yield result
        except ray.exceptions.RayError as error:
            raise _explained(error) from error


@final
class _Actor:
    """Holds the function in an actor."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._failed: FovealError | None = None
        try:
            self._work = make()
        except FovealError as error:
            # Raised, it would be taken for the death of the actor, and tried again for ever.
            self._failed = error

    def __call__(self, batch: Any) -> Any:
        pyarrow = import_extra("pyarrow", "ray", "Ray Data needs pyarrow")
        return pyarrow.table({"row": pyarrow.array([self._run(batch)], pyarrow.binary())})

    def _run(self, batch: Any) -> bytes:
        if self._failed is not None:
            return pickle.dumps(self._failed)
        row = pickle.loads(batch.column("row")[0].as_py())  # noqa: S301  # Written above.
        try:
            return pickle.dumps(self._work(row))
        except FovealError as error:
            return pickle.dumps(error)


def _cores(ray: Any) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _explained(error: Exception) -> FovealError:
    return FovealError(
        f"The job on Ray failed: {said(error)}",
        hint="run the command again: finished parts are kept",
    )
