"""Swap versions of a model under load: failed requests, mixed answers, latency, and memory.

    python benchmarks/serving/swaps.py --swaps 200 --clients 4

Two versions that answer with different labels are promoted in turn, each as soon as the one
before answers. Every reply must come whole from one version: its label, the bundle's digest in the
body and `x-model-version` must belong together. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from untrained_classifiers import MODELS, write_untrained

from foveal.bundle import Bundle
from foveal.machine import resident_bytes
from foveal.store.store import Store

# The allocator settles in the first swaps.
_SETTLED = 0.25


@dataclass
class Seen:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    mixed: int = 0
    newest: str = ""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--model", choices=[model.name for model in MODELS], default="tiny")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "models")
        parts = publish(store, asked.model, Path(folder))
        store.promote("model:1")
        command = [sys.executable, "-m", "foveal", "serve", "model", "--store", store.location]
        with subprocess.Popen(
            [*command, "--port", "0", "--workers", "1", "--insecure"], stdout=subprocess.PIPE
        ) as server:
            url = server.stdout.readline().decode().strip()  # type: ignore[union-attr]
            try:
                print(json.dumps(measure(store, parts, url, server.pid, asked), indent=1))
            finally:
                server.terminate()


def publish(store: Store, name: str, folder: Path) -> dict[str, tuple[str, str]]:
    """Publish two versions; return version → the bundle's digest, and how its labels begin."""
    (model,) = (model for model in MODELS if model.name == name)
    bundle = write_untrained(model, folder / "bundle")
    parts = {}
    for number in (1, 2):
        labels = tuple(f"v{number} {label}" for label in bundle.manifest.labels)
        files = {file: bundle.read(file) for file in bundle.manifest.files}
        manifest = replace(bundle.manifest, labels=labels)
        version = Bundle.write(folder / f"bundle-{number}", manifest, files)
        store.push(version, "model")
        parts[str(number)] = (version.version, f"v{number} ")
    return parts


def measure(
    store: Store,
    parts: dict[str, tuple[str, str]],
    url: str,
    pid: int,
    asked: argparse.Namespace,
) -> dict[str, object]:
    """Swap under load and return what was seen."""
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    seen, ended = Seen(), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while not ended.is_set():
                begun = time.perf_counter()
                try:
                    reply = client.post("/predict/model", content=buffer.getvalue())
                except httpx.HTTPError:
                    seen.failed += 1
                    continue
                seen.seconds.append(time.perf_counter() - begun)
                if reply.status_code != 200:
                    seen.failed += 1
                    continue
                seen.newest = reply.headers["x-model-version"]
                digest, beginning = parts[seen.newest]
                said = reply.json()
                seen.mixed += said["version"] != digest or not said["label"].startswith(beginning)

    clients = [threading.Thread(target=ask) for _ in range(asked.clients)]
    for client in clients:
        client.start()
    memory, waits = [], []
    for swap in range(asked.swaps):
        wanted = str(2 - swap % 2)
        begun = time.perf_counter()
        store.promote(f"model:{wanted}")
        server_hears(pid)
        while seen.newest != wanted:
            time.sleep(0.002)
        waits.append(time.perf_counter() - begun)
        memory.append(resident_bytes(Path(f"/proc/{pid}/statm")) / 2**20)
    ended.set()
    for client in clients:
        client.join()
    first = int(_SETTLED * len(memory))
    slope = np.polyfit(np.arange(first, len(memory)), memory[first:], 1)[0] * 1000
    return {
        "model": asked.model,
        "swaps": asked.swaps,
        "requests": len(seen.seconds),
        "failed": seen.failed,
        "mixed": seen.mixed,
        "p50_ms": round(1000 * float(np.quantile(seen.seconds, 0.5)), 2),
        "p99_ms": round(1000 * float(np.quantile(seen.seconds, 0.99)), 2),
        "promote_to_answer_s": round(float(np.median(waits)), 3),
        "resident_mib": [round(value, 1) for value in memory[:: max(1, len(memory) // 10)]],
        "slope_mib_per_1000_swaps": round(float(slope), 2),
    }


def server_hears(pid: int) -> None:
    """Let the server look at once, and not within the next second."""
    subprocess.run(["kill", "-HUP", str(pid)], check=True)


if __name__ == "__main__":
    main()
