"""Announces the results of workers in other processes."""

from __future__ import annotations

import logging
from typing import final

from foveal.console import Progress
from foveal.tune.folder import StudyFolder
from foveal.tune.journal import Journal
from foveal.tune.spacefile import space_from_json
from foveal.tune.table import Row, rows_of
from foveal.words import percent

logger = logging.getLogger(__name__)


@final
class Announcer:
    """Announces the results of workers in other processes.

    Args:
        folder: The study.
        progress: Shows how many trials are over, and the best.
    """

    def __init__(self, folder: StudyFolder, progress: Progress) -> None:
        about = folder.read_about()
        self._space = space_from_json(about["space"])
        self._journal = Journal(folder.journal, self._space, about["rungs"])
        self._progress = progress
        self._said = {row.number for row in self._ended()}
        progress.start("tune", None)

    def __call__(self) -> None:
        """Say what is new."""
        ended = self._ended()
        for row in ended:
            if row.number not in self._said:
                self._said.add(row.number)
                logger.info(
                    "trial %d: %s, %s after %d of %d epochs (%.0f s)%s",
                    row.number,
                    percent(row.value),
                    row.state,
                    row.epoch,
                    row.epochs,
                    row.seconds,
                    f": {row.note}" if row.note else "",
                )
        best = max((row.value or 0.0 for row in ended), default=None)
        self._progress.update(len(ended), {"trials": str(len(ended)), "best": percent(best)})

    def _ended(self) -> list[Row]:
        rows = rows_of(self._journal, self._space)
        return [row for row in rows if row.state != "unfinished"]
