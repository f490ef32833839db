"""Train on Ray, in place of the local processes of `workflow.processes`.

Ray places the workers, watches over them and starts all anew when one is lost. What they train is
`workflow.member.work`, and they go on from foveal's own checkpoints: Ray's are committed later
than they are reported, and are not used.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import socket
import struct
import threading
import time
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from foveal.cluster.connect import connected, import_ray
from foveal.cluster.failures import said
from foveal.errors import FovealError, RecipeError
from foveal.jobs.target import Target
from foveal.train.interrupt import StopSwitch
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.member import LOST, Order, work
from foveal.workflow.messages import Inbox
from foveal.workflow.processes import RESTARTS, Launch, RunToTrain, check_shares

logger = logging.getLogger(__name__)

_EVERY_S = 0.1
# How often Ray looks for room for all workers, a minute each, after a machine was lost: by itself
# it would wait for ever, and say nothing.
_TRIES_TO_PLACE = 5
# Asks the kernel for the address of a network interface.
_SIOCGIFADDR = 0x8915


def on_ray(target: Target, workers: int) -> Launch:
    """Return the launcher that trains on a Ray cluster, in place of local processes.

    The run directory must be the same folder for all workers.

    Args:
        target: `ray:local` or `ray:auto`.
        workers: Processes, each with its share of every batch.

    Raises:
        MissingExtraError: If Ray is not installed: before the data are prepared.
    """
    import_ray()

    def launch(training: RunToTrain, progress: Broadcast) -> None:
        check_shares(training.recipe, workers)
        with connected(target) as ray:
            _train(ray, training, workers, progress)

    return launch


def _train(ray: Any, training: RunToTrain, workers: int, progress: Broadcast) -> None:
    """Train until the fit has ended.

    Raises:
        FovealError: If workers were lost again and again, or the training cannot go on.
        KeyboardInterrupt: If Ctrl-C was pressed twice.
    """
    on_cards = _on_cards(ray, training.recipe.train.device, workers)
    inbox = Inbox(ray.util.get_node_ip_address())
    progress.when_asked_to_stop(partial(inbox.ask, after_epoch=True))
    trainer = _trainer(ray, training.order(inbox, "cuda" if on_cards else "cpu"), workers, on_cards)
    failures: list[Exception] = []

    def fit() -> None:
        try:
            trainer.fit()
        except Exception as error:
            failures.append(error)

    switch = StopSwitch()
    thread = threading.Thread(target=fit, name="foveal-ray", daemon=True)
    with switch.listening():
        thread.start()
        while thread.is_alive():
            inbox.pump(progress)
            if switch.asked:
                inbox.ask(after_epoch=False)
            time.sleep(_EVERY_S)
    inbox.pump(progress)
    if inbox.error is not None:
        raise inbox.error
    if failures:
        raise FovealError(
            f"The training on Ray stopped: {said(failures[0])}",
            hint=f"foveal train --resume {training.run.path}",
            code="process_lost",
        ) from failures[0]


def _on_cards(ray: Any, device: str, workers: int) -> bool:
    """Return whether each worker gets a GPU.

    Raises:
        RecipeError: If the cluster has too few of what was asked for.
    """
    there = ray.cluster_resources()
    cards, cores = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    if device not in ("auto", "cpu", "cuda"):
        raise RecipeError(
            "On Ray, train.device is the kind of device that each worker gets. Expected auto, cpu "
            f"or cuda. Received: {device!r}.",
            hint="use --device auto",
        )
    on_cards = device == "cuda" or (device == "auto" and cards >= workers)
    have, what = (cards, "GPUs") if on_cards else (cores, "processor cores")
    if have < workers:
        raise RecipeError(
            f"The Ray cluster has too few {what}. Expected at least {workers}, one for each "
            f"worker. Received: {have}.",
            hint=f"use --workers {max(1, have)}",
        )
    return on_cards


def _trainer(ray: Any, order: Order, workers: int, on_cards: bool) -> Any:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.v2.api.config import FailureConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    cores = int(ray.cluster_resources().get("CPU", workers))
    each = {"CPU": max(1, cores // workers), **({"GPU": 1} if on_cards else {})}
    return DataParallelTrainer(
        _work,
        train_loop_config={"order": asdict(order)},
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu=on_cards, resources_per_worker=each
        ),
        run_config=RunConfig(
            # Ray takes up a run of the same name.
            name=f"foveal-{secrets.token_hex(8)}",
            storage_path=str(Path(order.run) / "cache" / "ray"),
            failure_config=FailureConfig(
                max_failures=RESTARTS, controller_failure_limit=_TRIES_TO_PLACE
            ),
        ),
    )


def _work(settings: dict[str, Any]) -> None:
    """Do the work of one worker."""
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    ray: Any = import_ray()
    context = get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    order = Order.from_json(settings["order"])
    # Of each start its own: what a lost worker has left in the store is not met again.
    start = broadcast_from_rank_zero(secrets.token_hex(8))
    if world > 1:
        _name_interface(ray.util.get_node_ip_address())
        try:
            dist.init_process_group(
                "nccl" if order.device == "cuda" else "gloo",
                store=order.address.store(start),
                rank=rank,
                world_size=world,
                timeout=timedelta(seconds=order.timeout_s),
            )
        except RuntimeError as error:
            raise RuntimeError(f"worker {rank} could not join the others: {error}") from error
    if order.device == "cuda":
        torch.cuda.set_device(0)
    try:
        if work(order) == LOST:
            # Ray starts all workers anew.
            raise RuntimeError("a worker was lost or does not respond")
    finally:
        if dist.is_initialized():
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()


def _name_interface(address: str) -> None:
    """Choose the network interface, because gloo may pick the loopback interface."""
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            try:
                request = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue
        if socket.inet_ntoa(answer[20:24]) == address:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
            return
