"""How much of a training's time goes into fitting the judgement how familiar pictures are.

Trains with the default recipe, as `foveal.train` does, and times the one step. The fit takes as
long whatever the training takes, so that its share is the larger, the shorter that is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import foveal
from foveal.workflow import held_out
from outcome import Outcome, add_out, report, shared


def main() -> None:
    """Train on each set and report the shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(parser)
    parser.add_argument("--sets", nargs="+", default=["hymenoptera", "laptop_phone"])
    parser.add_argument("--budget-s", type=float, help="of each training; default: none")
    arguments = parser.parse_args()
    found = {name: timed(shared(name), arguments.budget_s) for name in arguments.sets}
    report(
        Outcome(
            claim="familiarity_fit",
            what="share of the training's time that fitting the judgement of familiarity takes",
            unit="share",
            values=tuple(fit_s / total_s for fit_s, total_s in found.values()),
            target=None,
            better="low",
            detail={name: {"fit_s": fit, "total_s": total} for name, (fit, total) in found.items()},
        ),
        arguments.out,
    )


def timed(data: Path, budget_s: float | None) -> tuple[float, float]:
    """Return the seconds of the fit and of the whole training, both with their reading."""
    fit_s = 0.0
    judge = held_out.judge_familiarity

    def judging(*given: Any) -> Any:
        nonlocal fit_s
        begun = time.perf_counter()
        found = judge(*given)
        fit_s += time.perf_counter() - begun
        return found

    with (
        tempfile.TemporaryDirectory() as runs,
        patch.object(held_out, "judge_familiarity", judging),
    ):
        begun = time.perf_counter()
        foveal.train(data, out=runs, budget_s=budget_s, verbose=False)
        total_s = time.perf_counter() - begun
    return fit_s, total_s


if __name__ == "__main__":
    main()
