"""How right the default recipes are on pictures as other sources have them.

    python benchmarks/shifts.py [--only letters] [--bundle BUNDLE]

Trains on each set less a part that is held out, and answers that part as it is and under each shift
of `shifted.py` in three degrees. The claim is the mean error over all shifts and degrees; the
share of wrong answers that were sure stands beside it. The shifts apart, by which nothing was
chosen, are a claim of their own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

import foveal
import foveal_command
from heldout_claim import parser
from holdout import (
    Item,
    choose,
    hold_out,
    list_items,
    list_texts,
    signature_text_group,
    source_prefix,
    thin,
    write_folders,
    write_table,
    write_texts,
)
from outcome import Outcome, note, report, seeds, shared
from shifted import DEGREES, INK, INK_APART, PHOTOGRAPHS, PHOTOGRAPHS_APART, Shift


@dataclass(frozen=True)
class Set:
    """One set of pictures.

    Attributes:
        name: Its folder.
        share: Held out.
        is_ink: Whether its shifts are those of ink.
        options: Further arguments of `foveal train`.
        is_text: Whether its labels are texts.
        most: So many held-out pictures are shifted.
    """

    name: str
    share: float
    is_ink: bool
    options: tuple[str, ...] = ()
    is_text: bool = False
    most: int = 200


SETS = (
    Set("letters", 1 / 3, True),
    Set("signature_text", 1 / 5, True),
    Set("captcha_wp", 1 / 5, True, is_text=True, options=("--task", "read")),
    Set("cats_dogs", 1 / 5, False),
)


def main() -> None:
    """Measure the chosen sets and report each."""
    made = parser((__doc__ or "").split("\n")[0])
    made.add_argument("--only", choices=[each.name for each in SETS])
    made.add_argument("--bundle", type=Path, help="trained before on the part of the first seed")
    arguments = made.parse_args()
    for chosen in SETS:
        if arguments.only not in (None, chosen.name):
            continue
        trials = [
            measure(chosen, seed, arguments)
            for seed in seeds(arguments.repeats or 1, arguments.first_seed)
        ]
        for suffix, what, of in (
            ("", "mean error over all shifts and degrees, on held-out pictures", "errors"),
            ("_apart", "the same over shifts by which nothing was chosen", "apart"),
        ):
            report(
                Outcome(
                    claim=f"shifts_{chosen.name}{suffix}",
                    what=what,
                    unit="share",
                    values=tuple(statistics.fmean(trial[of].values()) for trial in trials),
                    target=None,
                    better="low",
                    detail={"trials": trials, "options": arguments.train_option},
                ),
                arguments.out,
            )


def measure(chosen: Set, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, and return the clean error, those by shift and degree, and how many were sure."""
    train_part, test_part = parted(chosen, seed, arguments)
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        bundle = arguments.bundle
        if bundle is None:
            write = write_texts if chosen.is_text else write_folders
            write = write_table if chosen.name == "signature_text" else write
            options = [*chosen.options, *arguments.train_option, "--seed", str(seed)]
            data = write(train_part, folder / "train")
            trained = foveal_command.train(data, folder / "runs", chosen.name, options)
            bundle = trained.json["bundle"]
        model = foveal.load(bundle)
        shown = choose(test_part, min(chosen.most, len(test_part)), seed)
        clean, _ = wrong(model, shown, None, 0, seed)
        errors, sure = _by_shift(model, shown, INK if chosen.is_ink else PHOTOGRAPHS, seed)
        apart, sure_apart = _by_shift(
            model, shown, INK_APART if chosen.is_ink else PHOTOGRAPHS_APART, seed
        )
    note(
        f"  {chosen.name} seed {seed}: clean {clean:.2%}, "
        f"shifted {statistics.fmean(errors.values()):.2%}, sure of "
        f"{statistics.fmean(sure.values()):.2%}; apart {statistics.fmean(apart.values()):.2%}"
    )
    return {
        "seed": seed,
        "pictures": len(shown),
        "clean": clean,
        "errors": errors,
        "sure": sure,
        "apart": apart,
        "sure_apart": sure_apart,
    }


def _by_shift(
    model: foveal.Model, shown: Sequence[Item], shifts: Mapping[str, Shift], seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the errors by shift and degree, and those that were sure."""
    errors, sure = {}, {}
    for name, shift in shifts.items():
        for degree in DEGREES:
            key = f"{name} {degree + 1}"
            errors[key], sure[key] = wrong(model, shown, shift, degree, seed)
        note(f"    {name}: " + ", ".join(f"{errors[f'{name} {d + 1}']:.1%}" for d in DEGREES))
    return errors, sure


def parted(chosen: Set, seed: int, arguments: argparse.Namespace) -> tuple[list[Item], list[Item]]:
    """Return what is trained on, and what is only answered."""
    root = shared(chosen.name, arguments.data)
    if chosen.is_text:
        texts = thin(list_texts(root), arguments.per_class)
        return hold_out(texts, chosen.share, seed, stratum_of=lambda item: "")
    if chosen.name == "signature_text":
        items = thin(list_items(root, signature_text_group), arguments.per_class)
        return hold_out(items, chosen.share, seed, lambda item: source_prefix(item.path))
    return hold_out(thin(list_items(root), arguments.per_class), chosen.share, seed)


def wrong(
    model: foveal.Model, items: Sequence[Item], shift: Shift | None, degree: int, seed: int
) -> tuple[float, float]:
    """Return the share of wrong answers, and of those that are wrong and sure."""
    pictures = []
    for number, item in enumerate(items):
        with PILImage.open(item.path) as opened:
            image = opened.convert("RGB")
        if shift is not None:
            image = shift(image, degree, np.random.default_rng((seed, number, degree)))
        pictures.append(np.asarray(image))
    answers = model.predict(pictures, verbose=False)
    is_wrong = [a.text != item.label for a, item in zip(answers, items, strict=True)]
    is_sure = [not answer.unsure for answer in answers]
    both = sum(bad and sure for bad, sure in zip(is_wrong, is_sure, strict=True))
    return sum(is_wrong) / len(items), both / len(items)


if __name__ == "__main__":
    main()
