"""How much of a bare loop's rate does the server keep?

One process serves; a second, light one posts real JPEGs over keep-alive connections and counts
whole answers. In turn with it, on the same cores and in the same run, a bare loop decodes,
pre-processes and runs the same network in this process: one picture at a time, and in batches of
16. The server is held against the faster of the two. The client runs on the same cores, so its
work counts against the server. Processor time per picture is given beside the rates: it says the
same on a machine that is busy with other work.

    python benchmarks/server_throughput.py --model runs/classify/NAME/bundle --pictures PHOTOS/
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import onnxruntime

import foveal
from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import serve

BATCH = 16
CPU_MS: dict[str, list[float]] = {}


def main() -> None:
    """Measure in turns and print a table and one JSON line."""
    options = parse_arguments()
    if options.role == "serve":
        serve(
            {"model": Predictor(Bundle.open(options.model))},
            port=0,
            on_ready=lambda url: print(url, flush=True),
        )
        return
    if options.role == "client":
        pictures = read_pictures(options.pictures, options.count)
        print(json.dumps(asyncio.run(load(options, pictures))), flush=True)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    print(json.dumps(compare(options)))


def parse_arguments() -> argparse.Namespace:
    """Return the options; `--role` and `--url` are for the processes that this script starts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="a bundle")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--count", type=int, default=256, help="pictures to use")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--role", choices=["serve", "client"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser.parse_args()


def read_pictures(folder: Path, count: int) -> list[bytes]:
    """Return the bytes of up to `count` JPEGs, spread evenly over the sorted folder."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    if not paths:
        raise SystemExit(f"no JPEGs under {folder}")
    step = max(1, len(paths) // count)
    return [path.read_bytes() for path in paths[::step][:count]]


def compare(options: argparse.Namespace) -> dict[str, object]:
    """Return the rates of the loops and of the server, taken in turns."""
    pictures = read_pictures(options.pictures, options.count)
    predictor = Predictor(Bundle.open(options.model))
    again = [sys.executable, __file__, "--model", str(options.model)]
    again += ["--pictures", str(options.pictures), "--count", str(options.count)]
    rates: dict[str, list[float]] = {"loop_1": [], "loop_16": [], "server": []}
    reports: list[dict[str, float]] = []
    with subprocess.Popen([*again, "--role", "serve"], stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None:
            raise SystemExit("the server has no output")
        url = server.stdout.readline().strip()
        client = [*again, "--role", "client", "--url", url, "--seconds", str(options.seconds)]
        client += ["--clients", str(options.clients)]
        for _ in range(options.rounds):
            rates["loop_1"].append(time_loop(one_by_one(predictor), pictures, options.seconds))
            rates["loop_16"].append(time_loop(in_batches(predictor), pictures, options.seconds))
            before = cpu_seconds(server.pid)
            report = json.loads(subprocess.run(client, check=True, capture_output=True).stdout)
            used = cpu_seconds(server.pid) - before
            report["server_cpu_ms"] = 1000 * used / report["answered"]
            rates["server"].append(report["rate"])
            reports.append(report)
        server.terminate()
    return summary(options, predictor, rates, reports)


def one_by_one(predictor: Predictor) -> Callable[[Sequence[bytes]], None]:
    """Return the loop that runs the network for each picture."""

    def run(pictures: Sequence[bytes]) -> None:
        for data in pictures:
            pixels, _ = predictor.prepare(predictor.decode(data))
            predictor.outputs(pixels[None])

    return run


def in_batches(predictor: Predictor) -> Callable[[Sequence[bytes]], None]:
    """Return the loop that runs the network for 16 pictures at a time."""

    def run(pictures: Sequence[bytes]) -> None:
        prepared = [predictor.prepare(predictor.decode(data))[0] for data in pictures]
        predictor.outputs(np.stack(prepared))

    return run


def time_loop(
    run: Callable[[Sequence[bytes]], None], pictures: Sequence[bytes], seconds: float
) -> float:
    """Return pictures a second of `run`, after one warm-up."""
    run(pictures[:BATCH])
    CPU_MS.setdefault(run.__qualname__.partition(".")[0], [])
    done, begun, cpu = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - begun) < seconds:
        start = done % max(1, len(pictures) - BATCH)
        run(pictures[start : start + BATCH])
        done += len(pictures[start : start + BATCH])
    CPU_MS[run.__qualname__.partition(".")[0]].append(1000 * (time.process_time() - cpu) / done)
    return done / passed


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used; 0 where /proc does not exist."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(options: argparse.Namespace, pictures: Sequence[bytes]) -> dict[str, float]:
    """Post pictures over keep-alive connections; count whole answers of status 200."""
    address = urlsplit(options.url)
    head = "POST /predict/model HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n"
    requests = [head.format(len(data)).encode() + data for data in pictures]
    times: list[tuple[float, float]] = []
    begun, cpu = time.perf_counter(), time.process_time()
    # The first second warms connections and batches up.
    counted_from, until = begun + 1.0, begun + 1.0 + options.seconds

    async def connection(offset: int) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        turn = offset
        while (sent := time.perf_counter()) < until:
            writer.write(requests[turn % len(requests)])
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"unexpected answer: {answer!r}")
            fields = answer.lower().split(b"content-length: ")
            await reader.readexactly(int(fields[1].split(b"\r\n")[0]))
            times.append((sent, time.perf_counter()))
            turn += options.clients
        writer.close()

    await asyncio.gather(*(connection(i) for i in range(options.clients)))
    counted = [(sent, got) for sent, got in times if counted_from <= got <= until]
    latencies = sorted(1000 * (got - sent) for sent, got in counted)
    return {
        "rate": len(counted) / options.seconds,
        "n": len(counted),
        "answered": len(times),
        "client_cpu_ms": 1000 * (time.process_time() - cpu) / len(times),
        "p50_ms": latencies[len(latencies) // 2],
        "p99_ms": latencies[int(0.99 * len(latencies))],
        "client_cpu_share": (time.process_time() - cpu) / (time.perf_counter() - begun),
    }


def summary(
    options: argparse.Namespace,
    predictor: Predictor,
    rates: dict[str, list[float]],
    reports: Sequence[dict[str, float]],
) -> dict[str, object]:
    """Return what was measured, with machine, versions, n and spread."""
    best = [max(pair) for pair in zip(rates["loop_1"], rates["loop_16"], strict=True)]
    ratios = [rate / loop for rate, loop in zip(rates["server"], best, strict=True)]
    for name, values in rates.items():
        spread = f"{min(values):.0f}-{max(values):.0f}"
        print(f"{name:8} {statistics.median(values):7.0f} pictures/s ({spread})", file=sys.stderr)
    return {
        "benchmark": "server_throughput",
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "rates_per_s": {k: [round(v, 1) for v in values] for k, values in rates.items()},
        "p50_ms": round(statistics.median(r["p50_ms"] for r in reports), 1),
        "p99_ms": round(statistics.median(r["p99_ms"] for r in reports), 1),
        "cpu_ms_per_picture": {
            **{name: round(statistics.median(v), 3) for name, v in CPU_MS.items()},
            "server": round(statistics.median(r["server_cpu_ms"] for r in reports), 3),
            "client": round(statistics.median(r["client_cpu_ms"] for r in reports), 3),
        },
        "client_cpu_share": round(statistics.median(r["client_cpu_share"] for r in reports), 3),
        "n": sum(int(r["n"]) for r in reports),
        "rounds": options.rounds,
        "clients": options.clients,
        "cores": options.cores,
        "backbone": predictor.bundle.manifest.backbone,
        "input": [predictor.pipeline.height, predictor.pipeline.width],
        "pictures": options.pictures.name,
        "machine": platform.processor() or platform.machine(),
        "versions": {
            "foveal": foveal.__version__,
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
        },
    }


if __name__ == "__main__":
    main()
