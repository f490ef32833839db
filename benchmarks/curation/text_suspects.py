"""How many damaged texts `foveal check --features` finds, and whether its scores are chances.

Of the texts of captcha_wp some are damaged: a character exchanged, left out or put in, two
neighbours swapped, or the text of another picture, each as often. Precision among as many texts as
were damaged, the most doubted first, recall among one and a half times as many, how often the
reading is the true text, and what share of the texts with about one score is damaged.

    python benchmarks/curation/text_suspects.py --shares 0.05 0.1 0.2
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from foveal.checks.base import CheckInput
from foveal.console import NoProgress
from foveal.recipe import Recipe
from foveal.workflow.check import check_source
from foveal.workflow.features import answer
from holdout import choose, list_texts, write_texts
from outcome import Outcome, add_out, note, report, shared

_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.01)


def main() -> None:
    """Damage texts, check and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(parser)
    parser.add_argument("--set", default="captcha_wp")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    parser.add_argument("--count", type=int, default=None, help="pictures of the set, by lot")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for share in options.shares:
        found = one(options.set, share, options.count, options.seed)
        note(f"{share:.0%} damaged: {found}")
        report(
            Outcome(
                claim=f"text_suspects_{options.set}_{round(100 * share)}",
                what=f"damaged texts among as many suspects, {share:.0%} damaged",
                unit="share",
                values=(found["precision"],),
                target=None,
                detail=found,
            ),
            options.out,
        )


def one(name: str, share: float, count: int | None, seed: int) -> dict[str, Any]:
    """Damage a share of the texts and return what was found."""
    items = choose(list_texts(shared(name)), count, seed)
    truth = [item.label for item in items]
    texts = damaged(truth, share, seed)
    pairs = zip(items, texts, strict=True)
    fits = []

    def answering(given: CheckInput, *rest: Any) -> CheckInput:
        answered = answer(given, *rest)
        fits.append((given.samples, answered.text_fit))
        return answered

    with tempfile.TemporaryDirectory() as folder:
        write_texts([replace(item, label=text) for item, text in pairs], Path(folder))
        check_source(folder, Recipe(task="read"), NoProgress(), answer=answering)
    ((samples, fit),) = fits
    if fit is None:
        raise SystemExit("no reader learnt to read")
    place = {item.path.name: i for i, item in enumerate(items)}
    order = [place[Path(sample.id).name] for sample in samples]
    is_wrong = np.array([texts[i] != truth[i] for i in order])
    wrong = np.nan_to_num(fit.wrong, nan=-1.0)
    first = np.argsort(-wrong, kind="stable")
    n = int(is_wrong.sum())
    hits = first[:n][is_wrong[first[:n]]]
    bins = np.digitize(wrong, _BINS) - 1
    return {
        "n": n,
        "pictures": len(items),
        "read_as_given": fit.read,
        "precision": float(is_wrong[first[:n]].mean()),
        "recall": float(is_wrong[first[: round(1.5 * n)]].sum() / n),
        "reading_is_right": float(np.mean([fit.readings[i] == truth[order[i]] for i in hits])),
        "said_damaged_number": [
            (float(wrong[at].mean()), float(is_wrong[at].mean()), int(at.sum()))
            for at in (bins == i for i in range(len(_BINS) - 1))
            if at.any()
        ],
    }


def damaged(truth: Sequence[str], share: float, seed: int) -> list[str]:
    """Return the texts with a share of them damaged."""
    rng = np.random.default_rng(seed)
    alphabet = sorted(set("".join(truth)))
    texts = list(truth)
    for i in rng.permutation(len(texts))[: round(share * len(texts))].tolist():
        while texts[i] == truth[i]:
            texts[i] = _damage(truth[i], alphabet, truth, rng)
    return texts


def _damage(
    text: str, alphabet: Sequence[str], others: Sequence[str], rng: np.random.Generator
) -> str:
    at, kind = int(rng.integers(len(text))), int(rng.integers(5))
    other = alphabet[int(rng.integers(len(alphabet)))]
    return {
        0: text[:at] + other + text[at + 1 :],
        1: text[:at] + text[at + 1 :],
        2: text[:at] + other + text[at:],
        3: text[:at] + text[at : at + 2][::-1] + text[at + 2 :],
        4: others[int(rng.integers(len(others)))],
    }[kind]


if __name__ == "__main__":
    main()
