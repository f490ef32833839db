"""Run by test_distributed.py in each of several processes: trains a little and says what it saw."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from fitting import CPU, TinyTraining, bright_or_dark, picture_loader, tiny_network
from torch import Tensor, nn

from foveal.recipe import AugmentOptions, TrainOptions
from foveal.tasks import get_task, get_training
from foveal.tasks.training import adding_over_processes
from foveal.train.distributed import Group
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord, Validated
from foveal.train.trainer import Trainer
from foveal.types import Labels

STEPS = 24


class Losses:
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def fit_started(self, model: nn.Module, stages: Any, history: Any) -> None:
        pass

    def step_done(self, step: StepRecord) -> None:
        self.values.append(float(step.loss))

    def epoch_done(self, record: EpochRecord) -> None:
        pass

    def fit_ended(self, result: FitResult) -> None:
        pass


def fit(group: Group, options: dict[str, Any], batch_size: int, weights: bool) -> dict[str, Any]:
    """Train the tiny network, without dropout, for STEPS steps."""
    network = tiny_network()
    network.head.dropout = nn.Identity()
    reader, y = bright_or_dark(60)
    targets: dict[str, Tensor] = {"y": y}
    if weights:
        targets["weight"] = torch.linspace(0.1, 2.0, 60)
    augment = AugmentOptions(
        flip_horizontal=True, noise=0.05, erasing=0.3, blur=0.5, **options.pop("augment", {})
    )
    loader = picture_loader(
        reader, np.arange(60), targets, batch_size=batch_size, augment=augment, dealt=group.share
    )
    heard = Losses()
    # What is exact to 1e-4 is single precision; some processors would take bfloat16 by themselves.
    options = {"precision": "fp32", **options}
    trainer = Trainer(TrainOptions(**options), device=CPU, seed=1, callbacks=[heard], group=group)
    epochs = -(-STEPS // len(loader))
    trainer.fit(
        network,
        TinyTraining(None),
        [Stage("full", loader, epochs, 0.02)],
        lambda model: Validated({"accuracy": 0.0}),
        metric="accuracy",
    )
    sums = [float(p.detach().double().sum()) for p in network.state_dict().values()]
    return {"losses": heard.values, "weights": sums}


def budgeted(group: Group) -> dict[str, Any]:
    """Train until a budget ends, by clocks that go at another speed in each process."""
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 0.01 * (1 + group.rank)
        return now_s

    reader, y = bright_or_dark(60)
    loader = picture_loader(reader, np.arange(60), {"y": y}, batch_size=9, dealt=group.share)
    options = TrainOptions(budget_s=4.0)
    trainer = Trainer(options, device=CPU, seed=1, clock=clock, group=group)
    result = trainer.fit(
        tiny_network(),
        TinyTraining(None),
        [Stage("full", loader, None, 0.02)],
        lambda model: Validated({"accuracy": 0.0}),
        metric="accuracy",
    )
    rates = [record.lr for record in result.history]
    return {"steps": result.steps, "stopped": result.stopped, "rates": rates}


def losses_of(group: Group, task: str) -> dict[str, Any]:
    """Compute a task's losses and the gradient of a shared factor on random outputs."""
    torch.manual_seed(3)
    count, names = 7, ("a", "b", "c")
    factor = nn.Parameter(torch.tensor([1.3]))
    share = group.share(count)
    weight = {"weight": torch.linspace(0.0, 2.0, count)}
    if task == "classify":
        outputs = {"logits": torch.randn(count, 3)}
        targets = {"one_hot": torch.eye(3)[torch.arange(count) % 3], **weight}
    elif task == "read":
        outputs = {"logits": torch.randn(count, 9, 4)}
        lengths = torch.tensor([1, 2, 3, 0, 2, 1, 3])
        targets = {"text": torch.randint(1, 4, (count, 3)), "length": lengths, **weight}
    else:
        outputs = {"logits": torch.randn(count, 3, 5, 5)}
        mask = torch.randint(0, 3, (count, 5, 5))
        mask[0] = mask[3, :2] = 255
        targets = {"mask": mask.to(torch.uint8), **weight}
    bound = get_task(task).bind(Labels(names), {})
    training = get_training(task)(bound)
    mine = {name: share.take(value) * factor for name, value in outputs.items()}
    rows = {name: share.take(value) for name, value in targets.items()}
    with adding_over_processes(group.total):
        losses = training.losses(mine, rows, TrainOptions(), torch.tensor([0.5, 1.0, 2.0]))
    losses["loss"].backward()
    group.add_gradients([factor])
    gradient = float(factor.grad) if factor.grad is not None else None
    return {"losses": {n: float(v.detach()) for n, v in losses.items()}, "gradient": gradient}


def norm(group: Group) -> dict[str, Any]:
    """Normalise a batch of uneven shares, and go back through it."""
    torch.manual_seed(4)
    found: dict[str, Any] = {}
    for name, layer, shape in (
        ("2d", nn.BatchNorm2d(3), (5, 3, 4, 4)),
        ("1d", nn.BatchNorm1d(3), (5, 3, 6)),
        ("rows", nn.BatchNorm1d(3, affine=False), (5, 3)),
        ("no_running", nn.BatchNorm2d(3, track_running_stats=False), (5, 3, 4, 4)),
    ):
        inputs = 100 + 3 * torch.randn(shape)
        pull = torch.randn(shape)
        if layer.weight is not None:
            nn.init.normal_(layer.weight)
        share = group.share(5)
        own = share.take(inputs).clone().requires_grad_()
        with group.normalising():
            answer = layer(own)
        (answer * share.take(pull)).sum().backward()
        parameters = list(layer.parameters())
        if parameters:
            group.add_gradients(parameters)
        found[name] = {
            "answer": group.joined_rows(answer.detach()).tolist(),
            "to_inputs": group.joined_rows(own.grad).tolist() if own.grad is not None else None,
            "to_parameters": [p.grad.tolist() for p in parameters if p.grad is not None],
            "buffers": {n: b.tolist() for n, b in layer.named_buffers()},
        }
    return found


def exchanges(group: Group) -> dict[str, Any]:
    """Use what the group has beside gradients."""
    unused = nn.Parameter(torch.ones(2))
    used = nn.Parameter(torch.ones(2))
    if group.rank == group.world - 1:
        (used * 3).sum().backward()
    group.add_gradients([unused, used])
    return {
        "decided": group.decided(float(group.rank), 0.1),
        "gathered": group.gather({"rank": group.rank, "text": "ü" * group.rank}),
        "rows": group.joined_rows(torch.full((group.rank, 2), group.rank)).tolist(),
        "unused": unused.grad is None,
        "used": None if used.grad is None else used.grad.tolist(),
        "shares": [list(group.share(n).take(torch.arange(n)).tolist()) for n in (1, 2, 5)],
    }


def main(folder: Path, rank: int, world: int) -> None:
    torch.set_num_threads(1)
    if world > 1:
        store = dist.FileStore(str(folder / "store"), world)
        dist.init_process_group(
            "gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=60)
        )
    group = Group.joined(timeout_s=60.0)
    answer = {
        "plain": fit(group, {}, 9, weights=False),
        "weighted": fit(group, {"mixup": 0.4, "ema": 0.9, "optimizer": "sgd"}, 9, weights=True),
        "tiny": fit(group, {"mixup": 0.4}, 2, weights=False),
        "budget": budgeted(group),
        "norm": norm(group),
        **{task: losses_of(group, task) for task in ("classify", "read", "segment")},
        "exchanges": exchanges(group),
    }
    (folder / f"rank-{rank}.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
