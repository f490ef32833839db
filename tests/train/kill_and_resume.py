"""Run by test_resume.py: trains in forked children, kills them at random, compares the ends.

One warm parent forks the children, as importing torch dozens of times would take minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # The optimizers load it when they are built: once here, not in every child.
from fitting import CPU, TinyTraining, accuracy, tiny_loader, tiny_network
from torch import nn

from foveal.recipe import TrainOptions, parse_section
from foveal.train.checkpoint import CheckpointStore
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord, head_only
from foveal.train.trainer import Trainer


class Beat:
    """Writes a byte to a pipe at every step."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        pass

    def step_done(self, step: StepRecord) -> None:
        os.write(self.descriptor, b".")

    def epoch_done(self, record: EpochRecord) -> None:
        pass

    def fit_ended(self, result: FitResult) -> None:
        pass


def train(directory: Path, optimizer: str, beat: int) -> None:
    options = parse_section(
        TrainOptions, {"ema": 0.9, "mixup": 0.3, "optimizer": optimizer, "schedule": "one_cycle"}
    )
    model = tiny_network()
    stages = [
        Stage("head", tiny_loader(), 2, 0.01, lr_factor=head_only),
        Stage("full", tiny_loader(), 3, 0.01, blended=True),
    ]
    trainer = Trainer(
        options,
        device=CPU,
        seed=7,
        callbacks=[Beat(beat)],
        checkpoints=CheckpointStore(directory, every_s=0.0, largest_share=float("inf")),
    )
    result = trainer.fit(
        model, TinyTraining(None), stages, accuracy, metric="accuracy", resume=True
    )
    saved = CheckpointStore(directory).load()
    if saved is None:
        raise RuntimeError("no checkpoint")
    answer = {
        "best": digest(model.state_dict()),
        "final": digest(saved.tensors["model"]),
        "ema": digest(saved.tensors["ema"]),
        "steps": result.steps,
        "best_epoch": result.best_epoch,
        "history": [[r.epoch, r.step, r.lr, r.losses, r.metrics] for r in result.history],
        "left": [p.name for p in directory.glob(".tmp*")],
        "kept": len(CheckpointStore(directory).names()),
    }
    (directory / "answer.json").write_text(json.dumps(answer))


def digest(weights: dict[str, torch.Tensor]) -> str:
    parts = hashlib.sha256()
    for name, value in weights.items():
        parts.update(name.encode() + value.contiguous().numpy().tobytes())
    return parts.hexdigest()


def run(directory: Path, optimizer: str, kill_after: int | None) -> bool:
    """Train in a child, kill it after so many steps; return whether it came to its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            train(directory, optimizer, writing)
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    os.close(writing)
    steps = 0
    while os.read(reading, 1):
        steps += 1
        if steps == kill_after:
            os.kill(child, signal.SIGKILL)
            break
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise RuntimeError("the training failed")
    return os.WIFEXITED(status)


def main(root: Path) -> None:
    rng = random.Random(5)
    report: dict[str, Any] = {}
    for optimizer in ("adamw", "sgd"):
        run(root / f"{optimizer}-whole", optimizer, None)
        for trial in range(3):
            directory = root / f"{optimizer}-{trial}"
            kills = 0
            while not run(directory, optimizer, rng.randint(1, 16)):
                kills += 1
            report[directory.name] = kills
    (root / "kills.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
