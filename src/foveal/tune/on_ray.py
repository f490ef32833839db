"""Workers as tasks of a Ray cluster, whose machines share the folder of the study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foveal.cluster.connect import connected
from foveal.console import NoProgress
from foveal.errors import FovealError, unpacked
from foveal.jobs.target import Target
from foveal.tune.folder import StudyFolder
from foveal.tune.limits import Limits
from foveal.tune.work import Worker
from foveal.types import JsonObject

_POLL_S = 0.5


def work_on_ray(
    folder: StudyFolder, limits: Limits, target: Target, *, look: Callable[[], None]
) -> None:
    """Run `limits.workers` workers as tasks of Ray until all have ended.

    Args:
        folder: The study; on a disk that all machines of the cluster share.
        limits: What the command may take.
        target: `ray:local` or `ray:auto`.
        look: Called now and then.

    Raises:
        FovealError: What a worker raised.
        KeyboardInterrupt: If Ctrl-C stopped it.
    """
    with connected(target) as ray:
        task = ray.remote(num_cpus=1, max_retries=0)(_work)
        path, about = str(folder.path.resolve()), limits.to_json()
        left = [task.remote(path, about) for _ in range(limits.workers)]
        try:
            while left:
                done, left = ray.wait(left, timeout=_POLL_S)
                look()
                for one in done:
                    if (error := ray.get(one)) is not None:
                        raise unpacked(error)
        except KeyboardInterrupt:
            for one in left:
                ray.cancel(one)
            ray.wait(left, num_returns=len(left), timeout=60)
            raise
        look()


def _work(path: str, limits: JsonObject) -> JsonObject | None:
    """Work as one of the workers; return what it could not do."""
    try:
        Worker(StudyFolder(Path(path)), Limits(**limits), NoProgress(), lambda: False).run()
    except FovealError as error:
        return error.packed()
    except KeyboardInterrupt:
        # The command, which was interrupted, has asked for it.
        return None
    return None
