"""Out-of-fold answers for checks, from the `predictions.csv` of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from foveal.checks.answering import FEWEST, recalibrate
from foveal.checks.base import OutOfFold
from foveal.data.source import Source, TargetKind
from foveal.errors import DataError
from foveal.evaluate.table import read_scores
from foveal.workflow.names import located
from foveal.workflow.rundir import STUDY_NAME, again

logger = logging.getLogger(__name__)

_FILE = "predictions.csv"


def predictions_file(run: str | Path) -> Path:
    """Return the `predictions.csv` of a run, which may be named as in `foveal compare`.

    Args:
        run: Run directory, the name of a run in `runs`, or the file itself.

    Raises:
        DataError: If there is none.
        UsageError: If runs of several tasks have the name.
    """
    path = located(run)
    if path.is_file():
        return path
    if (path / _FILE).is_file():
        return path / _FILE
    if (path / "recipe.yaml").is_file() and not (path / STUDY_NAME).is_file():
        raise DataError(f"The run {path} has no {_FILE}: it is not finished.", hint=again(path))
    raise DataError(
        f"There is no run at {path}." if not path.exists() else f"{path} is no run.",
        hint="foveal train DATA --folds 5 makes one whose predictions can be used",
    )


def predicted(path: Path, source: Source, target: TargetKind) -> OutOfFold | None:
    """Return the predictions for the samples of a source; samples without one are not answered.

    They are calibrated anew, see `recalibrate`. Fewer than `FEWEST` say nothing: then None.

    Args:
        path: `predictions.csv` of a classification.
        source: The data that the run was trained on; some pictures may have been moved since.
        target: Kind of label of the data.

    Raises:
        DataError: If the predictions cannot be read, or do not belong to the data.
    """
    if target != "labels":
        raise DataError(
            f"Only labels can be checked by predictions. {source.location} has {_TARGETS[target]}.",
            hint=f"foveal check {source.location} --features",
        )
    table = read_scores(path)
    hint = f"foveal train {source.location} --folds 5"
    row = {image: i for i, image in enumerate(table.images)}
    known = [i for i, s in enumerate(source.samples) if s.raw is not None and s.id in row]
    raws = [source.samples[i].raw or () for i in known]
    if 2 * len(known) < len(row):
        raise DataError(
            f"{path} does not belong to {source.location}: {len(known):,} of its {len(row):,} "
            "pictures are there.",
            hint=hint,
        )
    if unknown := sorted({name for raw in raws for name in raw} - set(table.labels)):
        raise DataError(
            f"{path} does not belong to {source.location}: it has no score of the label "
            f"{unknown[0]!r}.",
            hint=hint,
        )
    if len(known) < len(row):
        logger.warning(
            "%d of the %d pictures of %s are no longer there", len(row) - len(known), len(row), path
        )
    if len(known) < FEWEST:
        logger.warning("labels are not checked: %s has only %d of them", path, len(known))
        return None
    own = table.values[[row[source.samples[i].id] for i in known]]
    scores = np.full((len(source.samples), len(table.labels)), np.nan, np.float32)
    scores[known] = recalibrate(own, raws, table.labels)
    models = f"networks that were not trained on the picture ({path})"
    return OutOfFold(table.labels, scores, models)


_TARGETS: dict[TargetKind, str] = {"text": "texts", "mask": "masks"}
