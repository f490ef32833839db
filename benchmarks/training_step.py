"""Rate of training steps on a CPU: foveal's against the same step as torch alone computes it.

Both do the same in turns in one process: forward pass, gradients and AdamW on random pictures, in
the number format that foveal chooses on this machine. Beside the rates stands the share of the
matrix-multiply peak of the machine, measured in the same run, that the training reaches. With
`--keep-statistics`, batch normalisation keeps its statistics in both, as classifiers are
fine-tuned, and foveal's step leaves as many stages of the backbone as they are as
`--frozen-stages` says.

With `--plot`, a roofline plot of all backbones is drawn: operations a second over operations a
byte, below the limits of memory and of the matrix product (S. Williams et al., "Roofline", 2009,
https://doi.org/10.1145/1498765.1498785). Bytes are those that every operation of torch reads and
writes; what a cache saves is not known, so that a network may lie above the limit of memory.

    python benchmarks/training_step.py --backbones efficientnet_lite0 efficientnet_lite2
    python benchmarks/training_step.py --backbones fovea resnet18 --plot docs/images/roofline.svg
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from foveal.machine import keeping_memory
from foveal.models.backbones import resolve_backbone
from foveal.models.network import parameters_of_stages
from foveal.train.folding import FoldedNormalisation
from foveal.train.optim import set_modes
from foveal.train.precision import Precision, choose_precision, use_threads
from outcome import Outcome, add_out, note, report

_CLASSES = 10
_PEAK_SIDE = 2048
# Far more than any cache holds.
_COPIED_BYTES = 1 << 28
_KINDS = ("torch", "foveal")
_BESIDE: dict[str, Any] = {"textcoords": "offset points", "color": "0.2"}


class ByteCounter(TorchDispatchMode):
    """Counts the bytes of the tensors that operations read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not getattr(func, "is_view", False):
            moved = tree_leaves((args, kwargs, result))
            self.total += sum(t.numel() * t.element_size() for t in moved if isinstance(t, Tensor))
        return result


@dataclass(frozen=True)
class Placed:
    """One way to train one network in the plot.

    Attributes:
        name: The backbone.
        kind: `torch` or `foveal`.
        intensity: Operations a byte.
        rate: Operations a second.
    """

    name: str
    kind: str
    intensity: float
    rate: float


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
        keep_statistics: Normalise by the statistics that the backbone has.
        frozen_stages: Feature maps whose layers foveal's step does not train.
    """

    def __init__(
        self, name: str, batch: int, side: int, *, keep_statistics: bool, frozen_stages: int
    ) -> None:
        torch.manual_seed(0)
        self.model = Classifier(name)
        set_modes(self.model, keep_statistics=keep_statistics)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch
        pictures = 2 * torch.rand(batch, 3, side, side) - 1
        self.pictures = pictures.to(memory_format=torch.channels_last)
        self.targets = torch.randint(0, _CLASSES, (batch,))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        backbone = self.model.backbone
        self.frozen = parameters_of_stages(backbone, backbone, frozen_stages, (side, side))
        self.folded = FoldedNormalisation()
        self.folding: AbstractContextManager[object] = nullcontext()
        if keep_statistics:
            self.folding = self.folded.running(backbone, self.pictures)

    def foveal(self, precision: Precision) -> None:
        """Train on the batch once, as foveal does."""
        frozen = [p for n, p in self.model.backbone.named_parameters() if n in self.frozen]
        for parameter in frozen:
            parameter.requires_grad_(False)
        with self.folding:
            self(precision.training())
        for parameter in frozen:
            parameter.requires_grad_()

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
    measured = [measure(name, precision, arguments) for name in arguments.backbones]
    if arguments.plot is not None:
        top = statistics.median(top for _, top in measured)
        draw([each for both, _ in measured for each in both], top, bandwidth(), arguments.plot)


def measure(
    name: str, precision: Precision, arguments: argparse.Namespace
) -> tuple[list[Placed], float]:
    """Time the steps of one backbone in turns, and report.

    Returns:
        Where both ways to train lie in the plot, and the operations a second of a matrix product.
    """
    step = Step(
        name,
        arguments.batch_size,
        arguments.side,
        keep_statistics=arguments.keep_statistics,
        frozen_stages=arguments.frozen_stages,
    )
    # Gradients take twice the operations; those of grouped convolutions the counter overstates.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        step.model(step.pictures)
    operations = 3 * counter.get_total_flops()
    moved = {
        "torch": bytes_of(lambda: step(precision.autocast())),
        "foveal": bytes_of(lambda: step.foveal(precision)),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    peaks = []
    for _ in range(arguments.rounds):
        peaks.append(peak(precision))
        seconds["torch"].append(timed(lambda: step(precision.autocast()), arguments.steps))
        with keeping_memory():
            seconds["foveal"].append(timed(lambda: step.foveal(precision), arguments.steps))
    ratios = [a / b for a, b in zip(seconds["torch"], seconds["foveal"], strict=True)]
    top = statistics.median(peaks)
    detail: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "precision": str(precision.dtype or torch.float32).removeprefix("torch."),
        "batch_size": arguments.batch_size,
        "keep_statistics": arguments.keep_statistics,
        "frozen_stages": arguments.frozen_stages,
        "folded": len(step.folded),
        "gflop_a_step": round(operations / 1e9, 3),
        "peak_gflops": round(top / 1e9, 1),
        "seconds": seconds,
    }
    placed = []
    for kind, values in seconds.items():
        middle = statistics.median(values)
        detail[f"{kind}_pictures_a_second"] = round(arguments.batch_size / middle, 1)
        detail[f"{kind}_share_of_peak"] = round(operations / middle / top, 3)
        detail[f"{kind}_gbyte_a_step"] = round(moved[kind] / 1e9, 3)
        placed.append(Placed(name, kind, operations / moved[kind], operations / middle))
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
    return placed, top


def bytes_of(run: Callable[[], object]) -> int:
    """Return the bytes that the operations of a run read and write."""
    with ByteCounter() as counter:
        run()
    return counter.total


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


def bandwidth() -> float:
    """Return the bytes a second that a copy in memory reads and writes."""
    source = torch.ones(_COPIED_BYTES // 4)
    target = torch.empty_like(source)
    return 2 * _COPIED_BYTES / min(timed(lambda: target.copy_(source), 3) for _ in range(5))


def draw(placed: list[Placed], top: float, memory: float, path: Path) -> None:
    """Draw the networks below the limits of the machine.

    Args:
        placed: Both ways to train every network, in turns.
        top: Operations a second of a matrix product.
        memory: Bytes a second.
        path: The SVG or PNG file to write.
    """
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    pyplot.rcParams["svg.fonttype"] = "none"
    figure, axes = pyplot.subplots(figsize=(7.5, 4.8), layout="constrained")
    left = min(each.intensity for each in placed) / 2
    right = max(top / memory, *(each.intensity for each in placed)) * 3
    axes.plot([left, top / memory, right], [left * memory / 1e9, top / 1e9, top / 1e9], color="0.4")
    product = f"matrix product: {top / 1e9:.0f}"
    axes.annotate(product, (right, top / 1e9), (-4, 4), **_BESIDE, ha="right")
    # A third of the way up, on a logarithmic axis.
    middle = left * (top / memory / left) ** (1 / 3)
    copied = f"copies in memory: {memory / 1e9:.0f} GB/s"
    axes.annotate(copied, (middle, middle * memory / 1e9), (14, -14), **_BESIDE)
    colors = {"torch": "#b0b0b0", "foveal": "#0072b2"}
    labels = {"torch": "torch alone", "foveal": "foveal"}
    for kind in _KINDS:
        own = [each for each in placed if each.kind == kind]
        x, y = [each.intensity for each in own], [each.rate / 1e9 for each in own]
        axes.plot(x, y, "o", color=colors[kind], label=labels[kind], zorder=3)
    names = []
    for i, (before, after) in enumerate(zip(placed[::2], placed[1::2], strict=True), start=1):
        ends = [(each.intensity, each.rate / 1e9) for each in (before, after)]
        axes.annotate("", ends[1], ends[0], arrowprops={"arrowstyle": "->", "color": "0.6"})
        # Above and below in turns: networks may lie close together.
        axes.annotate(str(i), ends[1], (-3, 7 if i % 2 else -15), **_BESIDE)
        names.append(f"{i}  {after.name}: {100 * after.rate / top:.0f} % of the matrix product")
    axes.text(0.02, 0.98, "\n".join(names), va="top", fontsize=9, transform=axes.transAxes)
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    axes.set(xlabel="operations per byte", ylabel="billion operations per second")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="both", color="0.93")
    axes.legend(loc="lower right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    note(f"  {path}: {top / 1e9:.0f} GFLOP/s, {memory / 1e9:.1f} GB/s")


def parse_arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbones", nargs="+", default=["efficientnet_lite0"])
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--keep-statistics", action="store_true", help="as pretrained classifiers are fine-tuned"
    )
    parser.add_argument("--frozen-stages", type=int, default=0)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--target", type=float, default=1.6)
    parser.add_argument("--plot", type=Path, help="SVG or PNG file with a roofline plot")
    add_out(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
