"""Rate of training steps on a CPU: foveal's against the same step as torch alone computes it.

Both do the same in turns in one process: forward pass, gradients and AdamW on random pictures, in
the number format that foveal chooses on this machine. Beside the rates stands the share of the
matrix-multiply peak of the machine, measured in the same run, that the training reaches.

    python benchmarks/training_step.py --backbones efficientnet_lite0 efficientnet_lite2
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from foveal.machine import keeping_memory
from foveal.models.backbones import resolve_backbone
from foveal.train.precision import Precision, choose_precision, use_threads
from outcome import Outcome, add_out, note, report

_CLASSES = 10
_PEAK_SIDE = 2048


class Classifier(nn.Module):
    """A backbone, the mean of its last map, and a linear layer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        spec = resolve_backbone(name)
        self.backbone = spec.build("none")
        self.head = nn.Linear(spec.channels[-1], _CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (N, C) logits."""
        logits: Tensor = self.head(self.backbone(pictures)[-1].mean((2, 3)))
        return logits


class Step:
    """One step of fine-tuning everything, on the same random pictures.

    Args:
        name: The backbone.
        batch: Pictures in a step.
        side: Their side in pixels.
    """

    def __init__(self, name: str, batch: int, side: int) -> None:
        torch.manual_seed(0)
        self.model = Classifier(name).train()
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch
        pictures = 2 * torch.rand(batch, 3, side, side) - 1
        self.pictures = pictures.to(memory_format=torch.channels_last)
        self.targets = torch.randint(0, _CLASSES, (batch,))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def __call__(self, numbers: AbstractContextManager[object]) -> None:
        """Train on the batch once, in a number format."""
        with numbers:
            logits = self.model(self.pictures)
        loss = nn.functional.cross_entropy(logits.float(), self.targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        self.optimizer.step()


def main() -> None:
    """Time every backbone and report a line for each."""
    arguments = parse_arguments()
    use_threads()
    precision = choose_precision(arguments.precision, torch.device("cpu"))
    for name in arguments.backbones:
        measure(name, precision, arguments)


def measure(name: str, precision: Precision, arguments: argparse.Namespace) -> None:
    """Time the steps of one backbone in turns, and report."""
    step = Step(name, arguments.batch_size, arguments.side)
    # Gradients take twice the operations; those of grouped convolutions the counter overstates.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        step.model(step.pictures)
    operations = 3 * counter.get_total_flops()
    seconds: dict[str, list[float]] = {"torch": [], "foveal": []}
    peaks = []
    for _ in range(arguments.rounds):
        peaks.append(peak(precision))
        seconds["torch"].append(timed(lambda: step(precision.autocast()), arguments.steps))
        with keeping_memory():
            seconds["foveal"].append(timed(lambda: step(precision.training()), arguments.steps))
    ratios = [a / b for a, b in zip(seconds["torch"], seconds["foveal"], strict=True)]
    top = statistics.median(peaks)
    detail: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "precision": str(precision.dtype or torch.float32).removeprefix("torch."),
        "batch_size": arguments.batch_size,
        "gflop_a_step": round(operations / 1e9, 3),
        "peak_gflops": round(top / 1e9, 1),
        "seconds": seconds,
    }
    for kind, values in seconds.items():
        middle = statistics.median(values)
        detail[f"{kind}_pictures_a_second"] = round(arguments.batch_size / middle, 1)
        detail[f"{kind}_share_of_peak"] = round(operations / middle / top, 3)
    note(f"  {name}: {statistics.median(ratios):.2f} x, {detail}")
    report(
        Outcome(
            claim=f"training_step_{name}",
            what=f"rate of training steps of {name} at {arguments.side} px on a CPU, relative to "
            "the same step as torch alone computes it",
            unit="ratio",
            values=tuple(ratios),
            target=arguments.target,
            judged_by="median",
            detail=detail,
        ),
        arguments.out,
    )


def timed(run: Callable[[], object], steps: int) -> float:
    """Return the seconds of a step; the first allocates memory and is not counted."""
    run()
    begun = time.perf_counter()
    for _ in range(steps):
        run()
    return (time.perf_counter() - begun) / steps


def peak(precision: Precision) -> float:
    """Return the operations a second of a large matrix product in the number format."""
    a = torch.rand(_PEAK_SIDE, _PEAK_SIDE).to(precision.dtype or torch.float32)
    seconds = timed(lambda: torch.mm(a, a), 3)
    return 2 * _PEAK_SIDE**3 / seconds


def parse_arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbones", nargs="+", default=["efficientnet_lite0"])
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--target", type=float, default=1.6)
    add_out(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
