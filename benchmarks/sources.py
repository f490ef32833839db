"""How right a model is on a source that it never saw: each source of signature_text in turn.

    python benchmarks/sources.py [--only arabic]

The sources of text are scene words (iiit5k, ic13, ic03), receipts, prints of about 1500, and Arabic
prints. Those of signatures are paper and screens: without one, all signatures seen are of the
other. The claim is the mean error over the sources; the share of answers that were wrong and sure
stands beside it.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import foveal
import foveal_command
from heldout_claim import parser
from holdout import Item, list_items, signature_text_group, source_prefix, thin, write_table
from outcome import Outcome, note, report, seeds, shared

SOURCES = (
    "cn paper",
    "cn screen",
    "iiit5k",
    "ic13",
    "ic03",
    "receipt",
    "print1500",
    "arabic",
)
_NAME = re.compile(r"^cn_\d+_(\d+)")
# Signatures of a volunteer up to this number are written on paper, the others on a screen.
_ON_PAPER = 20


def source_of(path: Path) -> str:
    """Return which of the sources a picture is of."""
    if found := _NAME.match(path.name):
        return "cn paper" if int(found[1]) <= _ON_PAPER else "cn screen"
    return source_prefix(path)


def main() -> None:
    """Leave each source out in turn and report."""
    made = parser((__doc__ or "").split("\n")[0])
    made.add_argument("--only", choices=SOURCES, action="append")
    arguments = made.parse_args()
    items = thin(
        list_items(shared("signature_text", arguments.data), signature_text_group),
        arguments.per_class,
    )
    trials = []
    for seed in seeds(arguments.repeats or 1, arguments.first_seed):
        found = {
            source: measure(items, source, seed, arguments) for source in arguments.only or SOURCES
        }
        trials.append(found)
    report(
        Outcome(
            claim="sources_signature_text",
            what="mean error on sources that were left out",
            unit="share",
            values=tuple(statistics.fmean(s["error"] for s in trial.values()) for trial in trials),
            target=None,
            better="low",
            limits={
                "wrong and sure, share of all": (
                    statistics.fmean(s["sure"] for trial in trials for s in trial.values()),
                    0.05,
                )
            },
            detail={"trials": trials, "options": arguments.train_option},
        ),
        arguments.out,
    )


def measure(
    items: Sequence[Item], source: str, seed: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Train without the source, and return how its pictures are answered."""
    left_out = [item for item in items if source_of(item.path) == source]
    rest = [item for item in items if source_of(item.path) != source]
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        data = write_table(rest, folder / "train")
        options = [*arguments.train_option, "--seed", str(seed)]
        trained = foveal_command.train(data, folder / "runs", "sources", options)
        model = foveal.load(trained.json["bundle"])
        answers = model.predict([item.path for item in left_out], verbose=False)
    is_wrong = [a.text != item.label for a, item in zip(answers, left_out, strict=True)]
    sure = sum(w and not a.unsure for w, a in zip(is_wrong, answers, strict=True))
    n = len(left_out)
    found = {"n": n, "error": sum(is_wrong) / n, "sure": sure / n, "wall_s": trained.wall_s}
    note(
        f"  without {source}: {found['error']:.1%} of {n} wrong, {found['sure']:.1%} wrong and sure"
    )
    return found


if __name__ == "__main__":
    main()
