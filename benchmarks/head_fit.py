"""The head on frozen features: fitted at once by L-BFGS beside epochs of steps, on paired splits.

The features of all pictures are computed once, with the backbone, side and augmentation that the
default recipe chooses for them: each picture as it is, and one augmented view. In every split a
fifth of the pictures is held out, and 15 % of the rest is what steps choose their epoch by. Both
heads learn from the same rows and answer the same pictures, so that differences are paired.

    python benchmarks/head_fit.py hymenoptera cats_dogs --splits 10
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveal.checks.folds import deal_folds
from foveal.console import NoProgress
from foveal.data.cache import Cache
from foveal.machine import available_cores
from foveal.models.network import Network, build_network
from foveal.recipe import Recipe, TrainOptions, make_recipe
from foveal.tasks import get_task, get_training
from foveal.tasks.training import TaskTraining
from foveal.train.augmentation import Augmenter
from foveal.train.data import Batch
from foveal.train.defaults import default_lr
from foveal.train.features import cache_features
from foveal.train.logistic import Rows, fit_regression
from foveal.train.precision import choose_precision
from foveal.train.records import Stage, Validated, forward_head, head_only
from foveal.train.sampling import BatchOrder
from foveal.train.share import Share
from foveal.train.trainer import Trainer
from foveal.types import Labels
from foveal.workflow.resolve import pipeline_of, resolve_recipe
from foveal.workflow.sources import limits_of
from holdout import Item, hold_out, list_items, thin, write_folders
from outcome import Outcome, add_out, note, report, shared

CPU = torch.device("cpu")
VALIDATED = 0.15
# Those of the default recipe before heads were fitted at once.
STEPS = TrainOptions(strategy="frozen", batch_size=32, head_epochs=20)
STEPS_LR = default_lr(STEPS, "head", 32)


@dataclass(frozen=True)
class Seen:
    """A set of pictures as features.

    Attributes:
        items: The pictures.
        maps: (views, N, D) float32: what the head makes of the feature maps, before any scaling.
        recipe: What was chosen for them.
        training: The task's torch half.
    """

    items: Sequence[Item]
    maps: Tensor
    recipe: Recipe
    training: TaskTraining

    def head_for(self, rows: NDArray[np.int64]) -> nn.Module:
        """Return a network with a new head that is scaled to some pictures."""
        network = build_network(self.training, self.recipe.model, pretrained=False)
        network.head.standardise((self.maps[0, rows][:, :, None, None],))
        return network


class Views:
    """A loader of one view of each picture an epoch, chosen at random."""

    def __init__(self, maps: Tensor, targets: Tensor, seed: int) -> None:
        self._maps, self._targets = maps, targets
        self._order = BatchOrder(maps.shape[1], STEPS.batch_size or 1, seed)
        self._seed = seed

    @property
    def samples(self) -> int:
        """Return how many pictures there are."""
        return int(self._maps.shape[1])

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return len(self._order)

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch."""
        views = np.random.default_rng((self._seed, epoch)).integers(
            0, len(self._maps), self.samples
        )
        for rows in self._order.batches(epoch)[first_batch:]:
            maps = self._maps[views[rows], rows][:, :, None, None]
            yield Batch((maps,), {"one_hot": self._targets[rows]}, Share.whole(len(rows)))


def look(name: str, folder: Path, root: Path | None, per_class: int | None, side: int) -> Seen:
    """Compute the features of a set."""
    items = thin(list_items(shared(name, root)), per_class)
    data = write_folders(items, folder / "data")
    given = [f"pipeline.image_size={side}"] if side else []
    source, recipe = resolve_recipe(str(data), make_recipe(None, given, {"strategy": "frozen"}))
    pipeline = pipeline_of(recipe)
    cache = Cache.build(
        source,
        pipeline,
        folder / "cache",
        limits_of(recipe),
        workers=available_cores(),
        progress=NoProgress(),
    )
    task_type = get_task("classify")
    labels: Labels = task_type.fit_labels(s.raw for s in source.samples if s.raw)
    training = get_training("classify")(task_type.bind(labels, recipe.task_options))
    network: Network = build_network(training, recipe.model, pretrained=True).eval()
    begun_s = time.perf_counter()
    file = cache_features(
        network.reduced_features,
        cache,
        np.arange(len(source.samples)),
        folder / "features",
        key=name,
        precision=choose_precision("auto", CPU),
        device=CPU,
        progress=NoProgress(),
        augment=Augmenter(recipe.train.augment, pipeline.pad_color),
        views=recipe.train.feature_views,
        seed=recipe.seed,
    )
    note(
        f"{name}: {file.count} pictures at {pipeline.height} px, {file.views} views, in "
        f"{time.perf_counter() - begun_s:.0f} s"
    )
    rows = np.arange(file.count * file.views, dtype=np.int64)
    # The last ones are those that the head uses.
    used = torch.cat([m.flatten(1) for m in file.read(rows)[-network.head.levels :]], dim=1)
    maps = used.float().view(file.views, file.count, -1)
    shown = [
        Item(Path(sample.id), (sample.raw or ("",))[0], cache.scan.digest[i].tobytes().hex())
        for i, sample in enumerate(source.samples)
    ]
    return Seen(shown, maps, recipe, training)


def targets_of(seen: Seen) -> Tensor:
    """Return (N, C) one-hot labels."""
    task = seen.training.task
    parsed = [task.parse_target((item.label,)) for item in seen.items]
    return seen.training.collate(parsed)["one_hot"]


def in_steps(
    seen: Seen, train: NDArray[np.int64], val: NDArray[np.int64], targets: Tensor, seed: int
) -> nn.Module:
    """Train a head as the default recipe did before, and keep its best epoch."""
    torch.manual_seed(seed)
    network = seen.head_for(train)

    def validate(model: nn.Module) -> Validated:
        logits = answers(model, seen, val)
        loss = nn.functional.cross_entropy(logits, targets[val])
        right = (logits.argmax(1) == targets[val].argmax(1)).float().mean()
        return Validated({"accuracy": float(right), "loss": float(loss)})

    stage = Stage(
        "head",
        Views(seen.maps[:, train], targets[train], seed),
        STEPS.head_epochs,
        STEPS_LR,
        lr_factor=head_only,
        forward=forward_head,
    )
    trainer = Trainer(STEPS, device=CPU, seed=seed)
    trainer.fit(network, seen.training, [stage], validate, metric="accuracy")
    return network


def at_once(
    seen: Seen, train: NDArray[np.int64], targets: Tensor, seed: int
) -> tuple[nn.Module, str]:
    """Fit a head as `foveal train` does, and say with which penalty."""
    network = seen.head_for(train)
    views = len(seen.maps)
    levels = network.head.rows((seen.maps[:, train].flatten(0, 1)[:, :, None, None],))
    numbers = targets[train].argmax(1).numpy()
    units = np.unique([seen.items[i].group for i in train], return_inverse=True)[1]
    fold = torch.from_numpy(deal_folds(numbers, units.astype(np.int64), seed=seed))
    values = torch.cat(levels, dim=1)
    rows = Rows(
        values,
        targets[train].repeat(views, 1),
        torch.ones(len(values)),
        fold.repeat(views),
        early=values.shape[1] - levels[-1].shape[1],
    )
    fitted = fit_regression(rows)
    network.head.set_map(fitted.weight, fitted.bias)
    return network, f"{fitted.strength:g} with {fitted.early:g}"


def answers(network: nn.Module, seen: Seen, rows: NDArray[np.int64]) -> Tensor:
    """Return the logits of some pictures as they are."""
    network.eval()
    with torch.no_grad():
        logits: Tensor = forward_head(network, (seen.maps[0, rows][:, :, None, None],))["logits"]
    return logits


def measure(name: str, seen: Seen, splits: int, first_seed: int) -> Outcome:
    """Compare both heads on every split."""
    targets = targets_of(seen)
    place = {item.path: i for i, item in enumerate(seen.items)}
    differences, trials = [], []
    for seed in range(first_seed, first_seed + splits):
        known, held = hold_out(seen.items, 1 / 5, seed)
        test = np.array([place[item.path] for item in held])
        learnt, validated = hold_out(known, VALIDATED, seed)
        train, val = (np.array([place[i.path] for i in part]) for part in (learnt, validated))
        begun_s = time.perf_counter()
        steps = in_steps(seen, train, val, targets, seed)
        between_s = time.perf_counter()
        fitted, penalty = at_once(seen, train, targets, seed)
        ended_s = time.perf_counter()
        trial: dict[str, float | str | int] = {"seed": seed, "penalty": penalty, "test": len(test)}
        for key, network in (("steps", steps), ("fitted", fitted)):
            logits = answers(network, seen, test)
            trial[key] = float((logits.argmax(1) == targets[test].argmax(1)).float().mean())
            trial[f"{key}_loss"] = float(nn.functional.cross_entropy(logits, targets[test]))
        trial |= {"steps_s": between_s - begun_s, "fitted_s": ended_s - between_s}
        trials.append(trial)
        differences.append(float(trial["fitted"]) - float(trial["steps"]))
        note(f"  {name} seed {seed}: {trial}")
    means = {
        key: statistics.fmean(float(trial[key]) for trial in trials)
        for key in ("steps", "fitted", "steps_loss", "fitted_loss", "steps_s", "fitted_s")
    }
    note(f"{name}: {means}")
    error = statistics.stdev(differences) / math.sqrt(splits) if splits > 1 else math.nan
    return Outcome(
        claim=f"head_fit_{name}",
        what="accuracy of the fitted head minus that of the head trained in steps, held-out fifth",
        unit="share",
        values=tuple(differences),
        target=None,
        detail={
            "means": means,
            "standard_error": error,
            "side": seen.recipe.pipeline.image_size,
            "pictures": len(seen.items),
            "trials": trials,
        },
    )


def main() -> None:
    """Measure the named sets."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("sets", nargs="+", help="names of sets of pictures")
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--per-class", type=int, default=None, help="only so many pictures")
    made.add_argument("--image-size", type=int, default=0, help="instead of the chosen side")
    made.add_argument("--splits", type=int, default=10)
    made.add_argument("--first-seed", type=int, default=0)
    arguments = made.parse_args()
    for name in arguments.sets:
        with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
            seen = look(
                name,
                Path(temporary),
                arguments.data,
                arguments.per_class,
                arguments.image_size,
            )
            report(measure(name, seen, arguments.splits, arguments.first_seed), arguments.out)


if __name__ == "__main__":
    main()
