"""Data-parallel training with torch.distributed.

Each has the whole network and its share of every batch. What is computed is what one process
would compute on the whole batch, but for the order of floating-point sums and for dropout, which
draws anew in each process (docs/decisions/0035). Who starts the processes is another matter:
`workflow.processes` does on one machine, `cluster.train` lets Ray.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foveal.train.norm import SharedNormalisation
from foveal.train.share import Share


class LostError(Exception):
    """Raised if another process of the group has died or timed out."""


@final
class Group:
    """The process group of a training; by default, only this process.

    All must call the same methods in the same order.

    Attributes:
        rank: Number of this process; number 0 writes and decides.
        world: Number of processes.
    """

    def __init__(self) -> None:
        self.rank = 0
        self.world = 1
        # For what is not on a graphics card, whatever the cards use among themselves.
        self._control: dist.ProcessGroup | None = None

    @classmethod
    def joined(cls, *, timeout_s: float) -> Group:
        """Return the group of `torch.distributed`, or a group of one if it is not initialised.

        Args:
            timeout_s: Longest time that one process may keep the others waiting.
        """
        group = cls()
        if dist.is_available() and dist.is_initialized():
            group.rank, group.world = dist.get_rank(), dist.get_world_size()
            with _reaching():
                group._control = dist.new_group(
                    backend="gloo", timeout=timedelta(seconds=timeout_s)
                )
        return group

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and decides."""
        return self.rank == 0

    def share(self, total: int) -> Share:
        """Return this process's rows of a batch."""
        return Share.of(total, self.rank, self.world)

    def total(self, part: Tensor) -> Tensor:
        """Return the sum over the processes; its gradient goes into this process's part.

        The gradients of the parameters are added later (`add_gradients`), so what follows must be
        computed alike in all processes.
        """
        if self.world == 1:
            return part
        summed: Tensor = _Total.apply(part, self)  # type: ignore[no-untyped-call]  # torch
        return summed

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the parameters' gradients by their sums over the processes, in one exchange.

        A parameter that got no gradient in any process keeps none.
        """
        if self.world == 1:
            return
        got = torch.tensor([float(p.grad is not None) for p in parameters])
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([*(part.reshape(-1).float() for part in parts), got.to(parts[0].device)])
        self.add(flat)
        has = flat[-len(parameters) :].tolist()
        begin = 0
        for parameter, is_there in zip(parameters, has, strict=True):
            values = flat[begin : begin + parameter.numel()]
            begin += parameter.numel()
            if is_there:
                # A view of the flat sums would have the strides of no parameter in channels-last.
                parameter.grad = torch.empty_like(parameter).copy_(values.view_as(parameter))

    def normalising(self) -> contextlib.AbstractContextManager[object]:
        """Return the context of a forward pass: batch statistics are those of the whole batch."""
        if self.world == 1:
            return contextlib.nullcontext()
        return SharedNormalisation(self.rows_of_all, self.add)

    def rows_of_all(self, values: Tensor) -> Tensor:
        """Gather (n,) values of every process as (world, n)."""
        rows = [torch.empty_like(values) for _ in range(self.world)]
        with _reaching():
            dist.all_gather(rows, values)
        return torch.stack(rows)

    def add(self, values: Tensor) -> Tensor:
        """Replace values by their sums over the processes, and return them."""
        with _reaching():
            dist.all_reduce(values)
        return values

    def joined_rows(self, rows: Tensor) -> Tensor:
        """Return the rows of all processes below each other, those of process 0 first.

        Args:
            rows: (n, ...) on any device; n may differ from process to process.
        """
        if self.world == 1:
            return rows
        counts = [int(count) for (count,) in self.gather([len(rows)])]
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        with _reaching():
            dist.all_gather(parts, padded, group=self._group_of(rows))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def decided(self, *values: float) -> tuple[float, ...]:
        """Broadcast the values of process 0."""
        if self.world == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64)
        with _reaching():
            dist.broadcast(tensor, src=0, group=self._control)
        return tuple(tensor.tolist())

    def gather(self, value: Any) -> list[Any]:
        """Gather JSON values of every process, in the order of the processes."""
        if self.world == 1:
            return [value]
        content = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world)]
        with _reaching():
            dist.all_gather(sizes, torch.tensor([len(content)]), group=self._control)
            padded = torch.zeros(int(max(sizes)), dtype=torch.uint8)
            padded[: len(content)] = content
            parts = [torch.empty_like(padded) for _ in sizes]
            dist.all_gather(parts, padded, group=self._control)
        pairs = zip(parts, sizes, strict=True)
        return [json.loads(part[: int(size)].numpy().tobytes()) for part, size in pairs]

    def wait(self) -> None:
        """Wait for all processes."""
        self.decided(0.0)
        self.gather(None)

    def _group_of(self, values: Tensor) -> dist.ProcessGroup | None:
        return self._control if values.device.type == "cpu" else None


class _Total(torch.autograd.Function):
    """The sum over the processes; the gradient is handed on as it is."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, group: Group) -> Tensor:
        return group.add(part.detach().clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        return gradients[0], None


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    # gloo says so by a RuntimeError without a type of its own, nccl by one of its subclasses.
    try:
        yield
    except RuntimeError as error:
        raise LostError(str(error)) from error
