"""Kill a worker, a machine or the head of a two-machine training at random instants.

The machines are two network namespaces with a pair of virtual network cards between them, a Ray
node in each; needs root on Linux. Each trial trains a few epochs on drawn letters in two workers,
one a machine, and something is killed at a random instant. A trial is right when the weights are
those of an undisturbed training, to the bit: either at once, since Ray started the workers anew,
or after an error that was said in one line and a resumption on the repaired cluster.

    sudo python benchmarks/scale/two_machines.py [--kills 20] [--out FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from tiny_run import copied, prepared_run  # noqa: E402

from foveal.cluster.train import on_ray  # noqa: E402
from foveal.console import NoProgress  # noqa: E402
from foveal.errors import FovealError  # noqa: E402
from foveal.jobs.target import Target  # noqa: E402
from foveal.train.checkpoint import CheckpointStore  # noqa: E402
from foveal.workflow.broadcast import Broadcast  # noqa: E402
from foveal.workflow.processes import RunToTrain  # noqa: E402
from outcome import Outcome, add_out, note, report  # noqa: E402

NAMES, ADDRESSES, PORT = ("fv2m-a", "fv2m-b"), ("10.77.0.1", "10.77.0.2"), 6399
VICTIMS = ("worker", "machine", "head")
# Longer than any trial takes on a busy machine.
LONGEST_S = 900


def main() -> None:
    """Train once undisturbed, then with a kill in each trial."""
    arguments = parse_arguments()
    if arguments.train is not None:
        train(arguments.train)
        return
    rng = random.Random(arguments.seed)  # noqa: S311
    ends: list[str] = []
    took: list[float] = []
    with tempfile.TemporaryDirectory(prefix="fv2m-", dir="/tmp") as scratch, namespaces():
        folder = Path(scratch)
        ready = prepared_run(
            folder / "ready",
            "synth:letters?count=120&characters=abcd",
            ("data.fresh_every=0", "train.precision=fp32", "train.devices_timeout_s=30"),
            {"epochs": 12, "strategy": "scratch", "device": "cpu", "devices": 2, "batch_size": 12},
        )
        cluster = Cluster(folder / "ray")
        try:
            begun_s = time.monotonic()
            whole = copied(ready, folder / "whole", 1)
            if (words := driven(cluster, whole.run.path)) is not None:
                raise RuntimeError(f"the undisturbed training failed: {words}")
            lasts_s, wanted = time.monotonic() - begun_s, digest(whole)
            note(f"undisturbed: {lasts_s:.0f} s")
            while len(ends) < arguments.kills:
                victim = VICTIMS[len(ends) % len(VICTIMS)]
                task = copied(ready, folder / "run", 1)
                begun_s, after_s = time.monotonic(), rng.uniform(0.0, lasts_s)
                end = trial(cluster, task, victim, after_s, wanted)
                took_s = time.monotonic() - begun_s
                shutil.rmtree(task.run.path)
                if end is None:
                    # The machine is less busy than at first: the next instant is drawn from less.
                    lasts_s = min(lasts_s, took_s)
                    note(f"  nothing was there to be killed after {after_s:.0f} s; again")
                    continue
                ends.append(end)
                took.append(took_s)
                note(f"  {len(ends)}: {victim} killed after {after_s:.0f} s: {end}, {took_s:.0f} s")
        finally:
            cluster.stop()
    right = [not end.startswith("WRONG") for end in ends]
    report(
        Outcome(
            claim="two_machines",
            what="trainings with a kill that end with the weights of an undisturbed one",
            unit="share",
            values=tuple(float(each) for each in right),
            target=1.0,
            detail={"ends": ends, "seconds": took, "undisturbed_s": lasts_s},
        ),
        arguments.out,
    )


def trial(
    cluster: Cluster, task: RunToTrain, victim: str, after_s: float, wanted: str
) -> str | None:
    """Train with a kill after some seconds, and return how it ended; None where nothing died."""
    killed: list[bool] = []
    killer = threading.Timer(after_s, lambda: killed.append(cluster.kill(victim, task.run.path)))
    killer.start()
    words = driven(cluster, task.run.path)
    killer.cancel()
    killer.join()
    cluster.repair()
    if not any(killed):
        return None
    if words is None and digest(task) == wanted:
        return "right at once"
    if words is None:
        return "WRONG weights"
    if "Traceback" in words:
        return f"WRONG: {words}"
    again = driven(cluster, task.run.path)
    if again is not None:
        return f"WRONG after the resumption: {again}"
    return f"right after a resumption ({words})" if digest(task) == wanted else "WRONG weights"


def driven(cluster: Cluster, run: Path) -> str | None:
    """Train in a process of the first machine; return None, or the last line of its error."""
    done = subprocess.run(
        ["ip", "netns", "exec", NAMES[0], sys.executable, __file__, "--train", str(run)],
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")]
    return said[-1] if said else "Traceback: " + " | ".join(lines[-3:])


def train(run: Path) -> None:
    """Train a prepared run on the Ray cluster that this machine belongs to."""
    from foveal.recipe import Recipe
    from foveal.workflow.rundir import RunDirectory

    directory = RunDirectory(run)
    task = RunToTrain(directory, Recipe.load(directory.recipe), (), time.monotonic())
    try:
        with Broadcast(NoProgress(), directory) as progress:
            on_ray(Target("ray", address="auto"), 2)(task, progress)
    except FovealError as error:
        sys.stderr.write(f"error: {error.message} hint: {error.hint}\n")
        raise SystemExit(1) from None


def digest(task: RunToTrain) -> str:
    """Return the sha256 of the last weights."""
    checkpoint = CheckpointStore(task.run.checkpoints).load()
    parts = hashlib.sha256()
    if checkpoint is not None:
        for name, value in checkpoint.tensors["model"].items():
            parts.update(name.encode() + value.contiguous().numpy().tobytes())
    return parts.hexdigest()


class Cluster:
    """A Ray node in each namespace.

    Args:
        folder: For Ray's files.
    """

    def __init__(self, folder: Path) -> None:
        self.environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ADDRESS": f"{ADDRESSES[0]}:{PORT}",
            "OMP_NUM_THREADS": "1",
            # Nobody repairs the cluster before the training has given up, which takes minutes else.
            "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "10",
        }
        self._folder = folder
        self._nodes: list[subprocess.Popen[bytes] | None] = [None, None]
        self.repair()

    def repair(self) -> None:
        """Start the nodes that do not run; all of them where the head is gone."""
        head = self._nodes[0]
        if head is None or head.poll() is not None:
            self.stop()
        for index in (0, 1):
            node = self._nodes[index]
            if node is None or node.poll() is not None:
                self._end(index)
                self._nodes[index] = self._begin(index)
        self._wait_for_both()

    def _wait_for_both(self) -> None:
        """Wait until the cluster has both machines: a user would not resume before."""
        count = "import ray; ray.init(); print(sum(n['Alive'] for n in ray.nodes()))"
        for _ in range(30):
            time.sleep(4)
            done = subprocess.run(
                ["ip", "netns", "exec", NAMES[0], sys.executable, "-c", count],
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
            if done.stdout.strip() == "2":
                return
        raise RuntimeError("the cluster was not repaired within two minutes")

    def kill(self, victim: str, run: Path) -> bool:
        """Kill a worker that has the run open, or all processes of a machine.

        Returns:
            Whether there was something to kill.
        """
        if victim != "worker":
            self._end(0 if victim == "head" else 1)
            return True
        for process in processes():
            if opens(process, run):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                    return True
        return False

    def stop(self) -> None:
        """End all that runs in the namespaces."""
        for index in (1, 0):
            self._end(index)

    def _begin(self, index: int) -> subprocess.Popen[bytes]:
        ray = str(Path(sys.executable).parent / "ray")
        where = ["--head", f"--port={PORT}", "--include-dashboard=false"]
        if index:
            where = [f"--address={ADDRESSES[0]}:{PORT}"]
        temporary = ["--temp-dir", str(self._folder)] if not index else []
        return subprocess.Popen(
            [
                *("ip", "netns", "exec", NAMES[index], ray, "start", "--block", *where),
                *(f"--node-ip-address={ADDRESSES[index]}", "--num-cpus=1", *temporary),
                "--object-store-memory=100000000",
            ],
            env={k: v for k, v in self.environment.items() if k != "RAY_ADDRESS"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _end(self, index: int) -> None:
        listed = subprocess.run(
            ["ip", "netns", "pids", NAMES[index]], capture_output=True, text=True, check=False
        )
        own = {process for process in listed.stdout.split() if not drives(int(process))}
        for process in own:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        node = self._nodes[index]
        if node is not None:
            node.wait()
        self._nodes[index] = None


def processes() -> list[int]:
    """Return the ids of all processes."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def drives(process: int) -> bool:
    """Tell whether a process is the command that a user would have started."""
    with contextlib.suppress(OSError):
        return b"--train" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def opens(process: int, run: Path) -> bool:
    """Tell whether a process has the prepared pictures of the run open."""
    with contextlib.suppress(OSError):
        opened = [str(each.readlink()) for each in Path(f"/proc/{process}/fd").iterdir()]
        return any(str(run / "cache") in each for each in opened)
    return False


@contextlib.contextmanager
def namespaces() -> Iterator[None]:
    """Make two network namespaces that reach each other, and remove them."""

    def ip(*words: str, check: bool = True) -> None:
        subprocess.run(["ip", *words], check=check, stderr=None if check else subprocess.DEVNULL)

    for name in NAMES:
        ip("netns", "delete", name, check=False)
    try:
        for name in NAMES:
            ip("netns", "add", name)
        cards = ("fv2m0", "fv2m1")
        ip("link", "add", cards[0], "type", "veth", "peer", "name", cards[1])
        for name, card, address in zip(NAMES, cards, ADDRESSES, strict=True):
            ip("link", "set", card, "netns", name)
            ip("-n", name, "address", "add", f"{address}/24", "dev", card)
            ip("-n", name, "link", "set", card, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in NAMES:
            ip("netns", "delete", name, check=False)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--train", type=Path, help="train this run here (internal)")
    add_out(options)
    return options.parse_args()


if __name__ == "__main__":
    main()
