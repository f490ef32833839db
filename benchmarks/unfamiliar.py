"""Pictures unlike the training: how many foreign answers stay sure, how many familiar are refused.

A model is trained on a part of one set of pictures. Familiar are held-out pictures of the same set,
writers, receipts and photographs kept apart; foreign are the other sets, noise, blank pictures, and
of signature_text two sources that nothing is trained on. An answer to a foreign picture counts as
sure when it is not `unsure`, for whichever reason. `auc` is the probability that a foreign picture
is judged more unfamiliar than a familiar one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

import foveal
import foveal_command
from foveal.errors import FovealError
from foveal.predict import Predictor
from foveal.types import Picture
from holdout import (
    Item,
    hold_out,
    list_items,
    list_texts,
    signature_text_group,
    source_prefix,
    write_folders,
    write_table,
    write_texts,
)
from outcome import Outcome, add_out, note, report, shared

FOREIGN = (
    *("laptop_phone", "letters", "hymenoptera", "cifar10", "cats_dogs"),
    *("captcha_wp", "isbi_membrane", "monuseg", "signature_text"),
)
LEFT_OUT = ("arabic", "print1500")
MOST_SURE, MOST_REFUSED = 0.05, 0.02


@dataclass(frozen=True)
class Case:
    """A set to train on: its name, and further arguments of `foveal train`."""

    name: str
    options: Sequence[str]


CASES = (
    Case("laptop_phone", ()),
    Case("signature_text", ()),
    Case("hymenoptera", ()),
    Case("cats_dogs", ()),
    Case("letters", ()),
    Case("captcha_wp", ("--task", "read")),
    Case("isbi_membrane", ("--task", "segment")),
    Case("monuseg", ("--task", "segment")),
)


@dataclass
class Judged:
    """What a model said of some pictures."""

    unfamiliarity: list[float] = field(default_factory=list)
    unfamiliar: list[bool] = field(default_factory=list)
    unsure: list[bool] = field(default_factory=list)
    refused: int = 0


def main() -> None:
    """Train on each set, and report the worst of the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_out(parser)
    parser.add_argument("--data", type=Path, default=None, help="folder of the sets")
    parser.add_argument("--sets", default=",".join(case.name for case in CASES))
    parser.add_argument("--budget", default="60s", help="training time of each model")
    parser.add_argument(
        "--train-option",
        action="append",
        default=[],
        metavar="ARG",
        help="passed on to foveal train, as --train-option=--strategy --train-option=frozen",
    )
    parser.add_argument("--count", type=int, default=100, help="pictures of each foreign set")
    parser.add_argument("--seed", type=int, default=0, help="seed of the splits")
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.name in arguments.sets.split(",")]
    tables = {case.name: measure(case, arguments) for case in cases}
    sure = [share_of(t["foreign"].values(), "sure") for t in tables.values()]
    refused = [t["familiar"]["refused"] for t in tables.values()]
    report(
        Outcome(
            claim="unfamiliar_sure",
            what="answers to foreign pictures that stay sure, mean over foreign sets",
            unit="share",
            values=tuple(sure),
            target=MOST_SURE,
            better="low",
            limits={"refused %": (100 * max(refused), 100 * MOST_REFUSED)},
            detail=tables,
        ),
        arguments.out,
    )


def share_of(rows: Any, key: str) -> float:
    """Return the mean of a column."""
    return statistics.fmean(row[key] for row in rows)


def measure(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train on four fifths of a set and judge the rest and everything else."""
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        test, left_out = write_parts(case.name, folder / "data", arguments)
        options = (*case.options, "--budget", arguments.budget, *arguments.train_option)
        trained = foveal_command.train(folder / "data", folder / "runs", case.name, options)
        predictor = foveal.load(trained.json["run"]).predictor
        return judge(predictor, case.name, test, left_out, arguments)


def write_parts(
    name: str, root: Path, arguments: argparse.Namespace
) -> tuple[list[Path], dict[str, list[Path]]]:
    """Write the training part; return the held-out files, and those of sources left out."""
    source = shared(name, arguments.data)
    left_out: dict[str, list[Path]] = {}
    if name == "captcha_wp":
        kept, test = hold_out(list_texts(source), 1 / 5, arguments.seed, lambda item: "")
        write_texts(kept, root)
    elif (source / "masks").is_dir():
        kept, test = masked(source, name, arguments.seed)
        for item in kept:
            write_masked(item, root)
    elif name == "signature_text":
        items = list_items(source, signature_text_group)
        for prefix in LEFT_OUT:
            left_out[prefix] = [i.path for i in items if source_prefix(i.path) == prefix]
        items = [item for item in items if source_prefix(item.path) not in LEFT_OUT]
        kept, test = hold_out(items, 1 / 5, arguments.seed, lambda item: source_prefix(item.path))
        write_table(kept, root)
    else:
        kept, test = hold_out(list_items(source), 1 / 5, arguments.seed)
        write_folders(kept, root)
    return [item.path for item in test], left_out


def masked(source: Path, name: str, seed: int) -> tuple[list[Item], list[Item]]:
    """Hold a quarter out; neighbouring slices look alike, so that there it is the last ones."""
    items = [Item(p, "", p.stem) for p in sorted((source / "images").iterdir())]
    if name == "isbi_membrane":
        return items[:-6], items[-6:]
    return hold_out(items, 1 / 4, seed)


def write_masked(item: Item, root: Path) -> None:
    """Copy a picture and its mask."""
    (mask,) = (item.path.parents[1] / "masks").glob(f"{item.path.stem}.*")
    for path in (item.path, mask):
        target = root / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())


def judge(
    predictor: Predictor,
    name: str,
    test: Sequence[Path],
    left_out: dict[str, list[Path]],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Return the shares of the familiar pictures and of each kind of foreign ones."""
    rng = np.random.default_rng(arguments.seed)
    familiar = answers(predictor, (predictor.open(path) for path in test))
    with PILImage.open(test[0]) as image:
        size = image.size[::-1]
    kinds: dict[str, Iterator[Any]] = {
        other: opened(predictor, some(foreign_files(other, arguments), arguments.count, rng))
        for other in FOREIGN
        if other != name
    }
    for prefix, paths in left_out.items():
        kinds[prefix] = opened(predictor, some(paths, arguments.count, rng))
    kinds["noise"] = (Picture.from_array(draw_noise(rng, i, size)) for i in range(60))
    kinds["blank"] = (Picture.from_array(draw_blank(rng, i, size)) for i in range(40))
    turned = some(test, arguments.count, rng)
    kinds["turned by 90°"] = (turn(path, 1) for path in turned)
    kinds["turned by 180°"] = (turn(path, 2) for path in turned)
    rows = {}
    for kind, pictures in kinds.items():
        judged = answers(predictor, pictures)
        if judged.unsure:
            rows[kind] = row(judged, familiar)
            note(f"{name} / {kind}: {rows[kind]}")
    # Of turned pictures only people can say whether they are foreign: they are not in the mean.
    asked = {kind: r for kind, r in rows.items() if not kind.startswith("turned")}
    about = {
        "refused": statistics.fmean(familiar.unfamiliar),
        "unsure": statistics.fmean(familiar.unsure),
        "pictures": len(familiar.unsure),
    }
    note(f"{name}: familiar {about}, foreign sure {share_of(asked.values(), 'sure'):.3f}")
    return {
        "familiar": about,
        "foreign": asked,
        "turned": {k: rows[k] for k in rows.keys() - asked},
    }


def row(judged: Judged, familiar: Judged) -> dict[str, float]:
    """Return AUC, shares and count of one kind."""
    sure = [not unsure for unsure in judged.unsure]
    return {
        "auc": round(auc(judged.unfamiliarity, familiar.unfamiliarity), 4),
        "unfamiliar": round(statistics.fmean(judged.unfamiliar), 4),
        "sure": round(statistics.fmean(sure), 4),
        "pictures": len(sure),
    }


def auc(foreign: Sequence[float], familiar: Sequence[float]) -> float:
    """Return how often a foreign value is above a familiar one, equal ones counting half."""
    one, other = np.asarray(foreign)[:, None], np.asarray(familiar)[None]
    return float((one > other).mean() + 0.5 * (one == other).mean())


def answers(predictor: Predictor, pictures: Iterator[Any]) -> Judged:
    """Answer pictures one by one; one that the model refuses to answer is only counted."""
    judged = Judged()
    for picture in pictures:
        try:
            (answer,) = predictor.predict([picture])
        except FovealError:
            judged.refused += 1
            continue
        judged.unfamiliarity.append(answer.unfamiliarity or 0.0)
        judged.unfamiliar.append("unfamiliar" in answer.reasons)
        judged.unsure.append(answer.unsure)
    return judged


def foreign_files(name: str, arguments: argparse.Namespace) -> list[Path]:
    """Return the pictures of a set."""
    source = shared(name, arguments.data)
    folder = source / "images" if (source / "images").is_dir() else source
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))


def some(paths: Sequence[Path], count: int, rng: np.random.Generator) -> list[Path]:
    """Choose at most `count` files by lot."""
    return [paths[i] for i in sorted(rng.permutation(len(paths))[:count].tolist())]


def opened(predictor: Predictor, paths: Sequence[Path]) -> Iterator[Any]:
    """Open files as they are asked for."""
    return (predictor.open(path) for path in paths)


def turn(path: Path, quarters: int) -> Picture:
    """Turn a picture counter-clockwise."""
    with PILImage.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return Picture.from_array(np.ascontiguousarray(np.rot90(pixels, quarters)))


def draw_noise(rng: np.random.Generator, number: int, size: tuple[int, int]) -> Any:
    """Draw coloured grain, grey grain or coloured blotches, in turn."""
    height, width = size
    if number % 3 == 0:
        return rng.integers(0, 256, (height, width, 3), np.uint8)
    if number % 3 == 1:
        grey = rng.normal(rng.uniform(60, 200), rng.uniform(10, 60), (height, width, 1))
        return np.clip(grey, 0, 255).astype(np.uint8).repeat(3, axis=2)
    small = rng.integers(0, 256, (max(2, height // 8), max(2, width // 8), 3), np.uint8)
    return np.asarray(PILImage.fromarray(small).resize((width, height)))


def draw_blank(rng: np.random.Generator, number: int, size: tuple[int, int]) -> Any:
    """Draw white, black, then random colours, every fourth with a gradient."""
    color = (255, 0)[number] if number < 2 else rng.integers(0, 256, 3)
    pixels = np.full((*size, 3), color, np.int16)
    if number % 4 == 3:
        pixels += np.linspace(-60, 60, size[1]).astype(np.int16)[None, :, None]
    return np.clip(pixels, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
