"""How far more processes would help: a model of a step, from parts that are measured here.

A step of W processes takes

    fixed + picture * B / W + exchanges * hop * 2 (W - 1) + 2 (W - 1) / W * bytes / link

`fixed` and `picture` come from steps of one thread at several batch sizes, `hop` and the link from
exchanges between two processes of this machine, the number of exchanges from the network: two for
each layer of batch normalisation, one for the gradients, two for the losses and the request to
stop. Processes that share no cores do not slow each other down. The model is held against the
measured step of two processes; for more it is told with the link of this machine and with slower
ones.

    python benchmarks/scale/scaling_model.py [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from tiny_run import copied, prepared_run, rates, train_in_several  # noqa: E402
from torch import nn  # noqa: E402

from foveal.models.network import build_network  # noqa: E402
from foveal.recipe import ModelOptions  # noqa: E402
from foveal.tasks import get_task, get_training  # noqa: E402
from foveal.types import Labels  # noqa: E402
from outcome import Outcome, add_out, note, report  # noqa: E402

CASES = {"fovea": (64, 64), "efficientnet_lite0": (96, 32)}
"""Backbone → side in pixels and pictures of a batch."""
WORKERS = (1, 2, 4, 8, 16, 32, 64)
LINKS = {
    "this machine": None,
    "10 Gbit/s, 50 us": (1.25e9, 5e-5),
    "1 Gbit/s, 100 us": (1.25e8, 1e-4),
}
SIZES = (4, 1024, 262_144, 4_194_304)
# Losses and the request to stop; gradients are counted by themselves.
OTHER_EXCHANGES = 2


def main() -> None:
    """Measure the parts, and report the model for each network."""
    arguments = parse_arguments()
    if arguments.exchange is not None:
        exchange(arguments.exchange, arguments.rank)
        return
    torch.set_num_threads(1)
    hop_s, link = exchanged()
    note(f"an exchange takes {1e6 * hop_s:.0f} us a hop; the link moves {link / 1e6:.0f} MB/s")
    for name, (side, batch) in CASES.items():
        report(modelled(name, side, batch, hop_s, link), arguments.out)


def modelled(name: str, side: int, batch: int, hop_s: float, link: float) -> Outcome:
    """Return the model of one network, beside the measured rate of two processes."""
    names = Labels(tuple("abcdefghijklmnopqrstuvwxyz"))
    training = get_training("classify")(get_task("classify").bind(names, {}))
    network = build_network(training, ModelOptions(backbone=name, hidden=0), pretrained=False)
    fixed_s, picture_s = stepped(network, side, batch)
    norms = sum(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
    size = 4 * sum(p.numel() for p in network.parameters())

    def step_s(workers: int, bandwidth: float, latency_s: float) -> float:
        hops = 2 * (workers - 1)
        sent = hops / workers * size / bandwidth
        return (
            fixed_s
            + picture_s * batch / workers
            + (2 * norms + 1 + OTHER_EXCHANGES) * hops * latency_s
            + sent
        )

    tables = {
        where: [batch / step_s(w, *(given or (link, hop_s))) for w in WORKERS]
        for where, given in LINKS.items()
    }
    measured = rate_of_two(name, side, batch)
    return Outcome(
        claim=f"scaling_model ({name})",
        what="pictures a second of two processes by the model, relative to those measured",
        unit="ratio",
        values=(tables["this machine"][1] / measured,),
        target=None,
        detail={
            "fixed_s": fixed_s,
            "picture_s": picture_s,
            "layers_of_batch_normalisation": norms,
            "bytes": size,
            "hop_s": hop_s,
            "link_bytes_per_s": link,
            "measured_per_s_of_two": measured,
            "workers": WORKERS,
            "pictures_per_s": tables,
        },
    )


def stepped(network: nn.Module, side: int, batch: int) -> tuple[float, float]:
    """Return the seconds of a step that do not depend on the batch, and those of a picture."""
    network.train()
    sizes = [max(2, batch // share) for share in (8, 4, 2, 1)]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    seconds = []
    for size in sizes:
        images = 255 * torch.rand(size, 3, side, side)
        images = images.to(memory_format=torch.channels_last)

        def step(images: torch.Tensor = images) -> None:
            network(images)["logits"].square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        seconds.append(least(step, 8))
    slope, fixed = np.polyfit(sizes, seconds, 1)
    return max(0.0, float(fixed)), float(slope)


def least(work: Callable[[], object], times: int) -> float:
    """Return the least seconds of some calls after the first two."""
    taken = []
    for _ in range(times + 2):
        begun_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun_s)
    return min(taken[2:])


def exchanged() -> tuple[float, float]:
    """Return the seconds of a hop and the bytes a second between two processes."""
    with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
        command = [sys.executable, __file__, "--exchange", folder, "--rank"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        both = [subprocess.Popen([*command, str(rank)], env=environment) for rank in (0, 1)]
        if any(process.wait() for process in both):
            raise RuntimeError("the exchanges failed")
        seconds = json.loads((Path(folder) / "seconds.json").read_text())
    # Two processes: an all-reduce has two hops, and each sends all of it once.
    hop_s = seconds[0] / 2
    return hop_s, SIZES[-1] / max(1e-9, seconds[-1] - seconds[0])


def exchange(folder: Path, rank: int) -> None:
    """Time all-reduces of several sizes, as one of two processes."""
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group(
        "gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    seconds = []
    for size in SIZES:
        values = torch.zeros(size // 4)
        taken = []
        for _ in range(60):
            begun_s = time.perf_counter()
            dist.all_reduce(values)
            taken.append(time.perf_counter() - begun_s)
        seconds.append(statistics.median(taken[10:]))
    if rank == 0:
        (folder / "seconds.json").write_text(json.dumps(seconds))
    dist.destroy_process_group()


def rate_of_two(name: str, side: int, batch: int) -> float:
    """Return the pictures a second of a training in two processes of one thread."""
    os.environ["OMP_NUM_THREADS"] = "1"
    knobs = {"backbone": name, "image_size": side, "batch_size": batch, "epochs": 3}
    with tempfile.TemporaryDirectory(prefix="foveal-") as scratch:
        ready = prepared_run(
            Path(scratch) / "ready",
            "synth:letters?count=600",
            ("data.fresh_every=0", "train.precision=fp32"),
            {**knobs, "strategy": "scratch", "device": "cpu", "devices": 2},
        )
        task = copied(ready, Path(scratch) / "two", 2)
        train_in_several(task)
        return statistics.median(rates(task.run.path)[1:])


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--exchange", type=Path, help="time exchanges here (internal)")
    options.add_argument("--rank", type=int, default=0, help="number of the process (internal)")
    add_out(options)
    return options.parse_args()


if __name__ == "__main__":
    main()
