"""A member process of a distributed training."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import final

import torch
import torch.distributed as dist

from foveal.errors import FovealError
from foveal.machine import share_cores
from foveal.recipe import Recipe
from foveal.train.distributed import Group, LostError
from foveal.train.precision import choose_device
from foveal.types import JsonObject
from foveal.workers import take_order
from foveal.workflow.ending import told
from foveal.workflow.fitting import Fit
from foveal.workflow.messages import Address, ForwardLog, Outbox
from foveal.workflow.prepare import reopen
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.sources import open_for
from foveal.workflow.start import Start
from foveal.workflow.state import read_state
from foveal.workflow.units import Units

LOST = 75
"""Exit status: another process is gone or does not answer."""
REFUSED = 70
"""Exit status: the training cannot go on, for a reason that was reported."""


@final
@dataclass(frozen=True, slots=True)
class Order:
    """The task of a member process.

    Attributes:
        run: The run directory.
        extensions: Epochs that the run was extended by, in order.
        spent_s: Seconds of the budget that were spent before the process was started.
        address: Where messages go.
        device: `cpu` or `cuda`.
        timeout_s: Longest time that one process may keep the others waiting.
    """

    run: str
    extensions: tuple[int, ...]
    spent_s: float
    address: Address
    device: str
    timeout_s: float

    @classmethod
    def from_json(cls, values: JsonObject) -> Order:
        """Return the order of which these are the fields."""
        more = {
            "address": Address(**values["address"]),
            "extensions": tuple(values["extensions"]),
        }
        return cls(**{**values, **more})


def work(order: Order) -> int:
    """Train as one of the processes that `torch.distributed` joins; return the exit status."""
    begun_s = monotonic() - order.spent_s
    outbox = Outbox(order.address)
    run = RunDirectory(Path(order.run))
    logger, forward = logging.getLogger("foveal"), ForwardLog(outbox)
    try:
        group = Group.joined(timeout_s=order.timeout_s)
        if group.writes:
            # To be said once: what the others say is the same.
            logger.setLevel(logging.INFO)
            logger.addHandler(forward)
        recipe = _recipe(run)
        source = open_for(read_state(run)["data"], recipe)
        prepared = reopen(source, recipe, run, Start.kept_in(run))
        fit = Fit(run, order.extensions, begun_s, True, group, outbox.listen)
        fit(prepared, Units(prepared), outbox)
    except LostError:
        return LOST
    except Exception as error:
        known = (
            error
            if isinstance(error, FovealError)
            else told(error, run, begun=run.checkpoints.is_dir())
        )
        if known is None:
            raise
        outbox.error(known)
        return REFUSED
    finally:
        logger.removeHandler(forward)
        outbox.close()
    return 0


def _recipe(run: RunDirectory) -> Recipe:
    if not run.recipe.is_file():
        raise FovealError(
            f"The run directory {run.path} does not exist on one of the machines.",
            hint="use an --out that all machines share",
        )
    return Recipe.load(run.recipe)


def main() -> int:
    """Join the processes that standard input names, and train."""
    first = take_order(partial(os._exit, LOST))
    order = Order.from_json(first["order"])
    rank, world = first["rank"], first["world"]
    share_cores(world)
    if order.device == "cuda":
        torch.cuda.set_device(rank)
    # All are on this machine: other networks' names and walls do not matter.
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    backend = "nccl" if choose_device(order.device).type == "cuda" else "gloo"
    try:
        dist.init_process_group(
            backend,
            store=order.address.store("group"),
            rank=rank,
            world_size=world,
            timeout=timedelta(seconds=order.timeout_s),
        )
    except RuntimeError:
        return LOST
    return work(order)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The threads of gloo may wait for a process that is gone: nothing is left to be done here.
    os._exit(status)
