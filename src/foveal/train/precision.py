"""Choose the number format, threads and device of a training."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from foveal.errors import RecipeError
from foveal.machine import available_cores, has_bf16
from foveal.recipe import SETTINGS
from foveal.train.depthwise import FastDepthwise

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Precision:
    """The number format of a run's forward passes.

    Attributes:
        device: Kind of device: `cpu`, `cuda`, `mps`.
        dtype: Format under autocast, or None for plain float32.
        scaled: Whether the loss must be scaled so that float16 gradients do not vanish.
    """

    device: str
    dtype: torch.dtype | None
    scaled: bool

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context for a forward pass."""
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device, self.dtype)

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Return the context for a forward pass that is followed by its gradients."""
        has_slow_gradients = self.device == "cpu" and self.dtype is torch.bfloat16
        fast = FastDepthwise() if has_slow_gradients else contextlib.nullcontext()
        with self.autocast(), fast:
            yield

    @property
    def may_lose_gradients(self) -> bool:
        """Whether gradients may not be finite although the loss and the weights are.

        oneDNN 3.12, of torch 2.13, computes the gradients of a convolution's weights on AMX from
        memory that nobody wrote, for some widths of the feature map. That counts for nothing,
        except where it happens to hold no number.
        """
        return self.device == "cpu" and self.dtype is torch.bfloat16

    @property
    def storage_dtype(self) -> torch.dtype:
        """Return the 2-byte format in which activations lose least."""
        return torch.bfloat16 if self.dtype is torch.bfloat16 else torch.float16


def choose_precision(
    option: Literal["auto", "fp32", "bf16", "bf16_head"],
    device: torch.device,
    *,
    cpuinfo: Path = Path("/proc/cpuinfo"),
) -> Precision:
    """Return the precision for a device.

    `auto` on a processor is bf16 only where the instructions exist: without them bf16 is slower
    than float32. On CUDA it is bf16, or float16 with loss scaling on cards before Ampere. Of
    `bf16_head` the network itself keeps its backbone out of it (`Network.plain_backbone`).
    """
    kind = device.type
    if option == "fp32" or (kind not in ("cpu", "cuda") and option == "auto"):
        return Precision(kind, None, scaled=False)
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        if native or option in ("bf16", "bf16_head"):
            return Precision(kind, torch.bfloat16, scaled=False)
        return Precision(kind, torch.float16, scaled=True)
    if option == "auto" and not has_bf16(cpuinfo):
        return Precision(kind, None, scaled=False)
    if option != "auto" and kind == "cpu" and not has_bf16(cpuinfo):
        logger.warning("precision bf16: this processor has no bf16 instructions, so fp32 is faster")
    return Precision(kind, torch.bfloat16, scaled=False)


def use_threads() -> None:
    """Let torch use the cores that this process may use, or as many as OMP_NUM_THREADS says."""
    cores = available_cores()
    with contextlib.suppress(KeyError, ValueError):
        cores = max(1, min(cores, int(os.environ["OMP_NUM_THREADS"])))
    if torch.get_num_threads() != cores:
        torch.set_num_threads(cores)


def choose_device(option: str) -> torch.device:
    """Return the device for `auto` (CUDA, then Apple's, then the processor) or a name.

    Raises:
        RecipeError: For a name that is no device of this machine.
    """
    if option != "auto":
        return _named_device(option)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _named_device(name: str) -> torch.device:
    # The number of a graphics card is enough of a name.
    name = f"cuda:{name}" if name.isdecimal() else name
    there = _devices_there()
    if name not in there:
        raise RecipeError(
            f"Invalid value for recipe key {SETTINGS['train.device'].where}. Expected auto, or a "
            f"device that torch finds on this machine: {', '.join(there)}. Received: {name!r}.",
            hint="use --device auto; foveal doctor lists the GPUs that torch finds",
        )
    return torch.device(name)


def _devices_there() -> list[str]:
    # Nothing is put on a device: that would start CUDA before other processes are begun.
    there = ["cpu"]
    if cards := torch.cuda.device_count():
        there += ["cuda", *(f"cuda:{i}" for i in range(cards))]
    if torch.backends.mps.is_available():
        there.append("mps")
    return there
