"""What Ray Serve costs, and whether new versions fail a request there.

Two replicas on Ray Serve beside `foveal serve --workers 2`, both up, asked in turns by the same
clients, which keep their connections: requests a second and latency. Then versions are promoted
in turn under load, each as soon as the one before answers, and once the replicas are replaced
(SIGHUP). Clients, servers and Ray share the cores. Prints one JSON object.

    python benchmarks/scale/ray_serve.py BUNDLE PICTURE --updates 50
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from foveal.bundle import Bundle
from foveal.store.store import Store
from outcome import commit, machine, note


@dataclass
class Seen:
    """What clients saw.

    Attributes:
        seconds: Of each good answer.
        failed: Everything else.
        newest: The version of the last answer.
    """

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    newest: str = ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=8)
    asked = parser.parse_args()
    picture = asked.picture.read_bytes()
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as folder:
        store = Store.open(Path(folder) / "models")
        bundle = Bundle.open(asked.bundle)
        for _ in range(2):
            store.push(bundle, "model")
        store.promote("model:1")
        given = ["model@live", "--store", str(store.location), "--insecure"]
        with (
            serving(*given, "--on", "ray:local", "--replicas", "2") as (ray_url, ray),
            serving(*given, "--workers", "2") as (own_url, _),
        ):
            rates, latency = compare({"ray": ray_url, "own": own_url}, picture, asked)
            updated = update(store, ray_url, picture, asked.updates, asked.clients)
            replaced = replace(ray, ray_url, picture, asked.clients)
    ratios = [there / here for there, here in zip(rates["ray"], rates["own"], strict=True)]
    found = {
        "commit": commit(),
        "machine": machine(),
        "clients": asked.clients,
        "requests_per_s": rates,
        "ratio": {"median": statistics.median(ratios), "values": ratios},
        "latency_ms": latency,
        "updates": updated,
        "replacement": replaced,
    }
    sys.stdout.write(json.dumps(found, sort_keys=True) + "\n")


@contextmanager
def serving(*args: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `foveal serve`; give its URL and the process."""
    command = [sys.executable, "-m", "foveal", "serve", *args, "--port", "0", "--json"]
    with subprocess.Popen([*command, "--drain-delay", "0"], stdout=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            yield json.loads(line)["url"], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


@contextmanager
def load(url: str, picture: bytes, clients: int) -> Iterator[list[Seen]]:
    """Ask without pause from several threads; give what each of them saw."""
    ending = threading.Event()
    seen = [Seen() for _ in range(clients)]

    def ask(mine: Seen) -> None:
        with httpx.Client(timeout=60) as client:
            while not ending.is_set():
                begun = time.perf_counter()
                try:
                    answer = client.post(f"{url}/predict/model", content=picture)
                except httpx.HTTPError as error:
                    mine.failed.append(repr(error))
                    continue
                if answer.status_code == 200:
                    mine.seconds.append(time.perf_counter() - begun)
                    mine.newest = answer.headers["x-model-version"]
                else:
                    mine.failed.append(f"{answer.status_code} {answer.text[:200]}")

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def compare(
    urls: dict[str, str], picture: bytes, asked: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return requests a second for each round, and the median latency of all."""
    rates: dict[str, list[float]] = {name: [] for name in urls}
    seconds: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(asked.rounds + 1):
        for name, url in urls.items():
            begun = time.perf_counter()
            with load(url, picture, asked.clients) as seen:
                time.sleep(asked.seconds)
            took = time.perf_counter() - begun
            # The first round warms both up.
            if number:
                found = [value for mine in seen for value in mine.seconds]
                rates[name].append(len(found) / took)
                seconds[name] += found
        note(f"round {number}: { {name: values[-1:] for name, values in rates.items()} }")
    return rates, {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def update(store: Store, url: str, picture: bytes, count: int, clients: int) -> dict[str, object]:
    """Promote versions in turn; each waits until all clients have seen the one before."""
    with load(url, picture, clients) as seen:
        for number in range(count):
            version = str(2 - number % 2)
            store.promote(f"model:{version}")
            while not all(mine.newest == version for mine in seen):
                time.sleep(0.02)
    return summary(seen, updates=count)


def replace(
    process: subprocess.Popen[bytes], url: str, picture: bytes, clients: int
) -> dict[str, object]:
    """Have the replicas replaced under load."""
    with load(url, picture, clients) as seen:
        process.send_signal(signal.SIGHUP)
        time.sleep(30)
    return summary(seen)


def summary(seen: list[Seen], **more: object) -> dict[str, object]:
    """Return how many requests were answered and failed."""
    failed = [text for mine in seen for text in mine.failed]
    answered = sum(len(mine.seconds) for mine in seen)
    return {**more, "answered": answered, "failed": len(failed), "reasons": sorted(set(failed))[:5]}


if __name__ == "__main__":
    main()
