"""Requests a second and latency of foveal's server beside others', and beside a bare loop.

The same ONNX model, machine, client and pictures; every server has as many workers as there are
cores, each with one thread of ONNX Runtime. The servers take turns within a round, so that other
work on the machine meets all of them; compare what stands in one round. The client runs on the
same cores and costs the same for all. Processor time for a request says the same on a machine that
is busy with other work.

    make bench-serving
    python benchmarks/serving/compare.py --rounds 3 --seconds 5 --programs 'foveal;flask'
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
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from load_client import write_requests
from programs import HERE, PROGRAMS, ROOT, Program, install, requests_for, started
from untrained_classifiers import MODELS, Model, write_untrained

from outcome import commit, machine, note, versions

CLIENTS = (1, 16, 64)
_PICTURES = 64
_SIDE = 256
_QUALITY = 85


def main() -> None:
    """Measure in turns; print a table on stderr and one JSON line."""
    options = parse_arguments()
    options.scratch.mkdir(parents=True, exist_ok=True)
    chosen = [p for p in PROGRAMS if p.name in options.programs.split(";")]
    pythons = {program.name: install(program, options.environments) for program in chosen}
    pictures = write_pictures(options.scratch / "pictures")
    models = [m for m in MODELS if m.name in options.models.split(",")]
    for model in models:
        if not (options.scratch / model.name).exists():
            write_untrained(model, options.scratch / model.name)
    lines: list[dict[str, Any]] = []
    for number in range(options.rounds):
        for model in models:
            bundle = options.scratch / model.name
            lines += bare_lines(options, model, bundle)
            # Each round begins with another one.
            turned = [*chosen[number % len(chosen) :], *chosen[: number % len(chosen)]]
            for program in turned:
                lines += program_lines(options, program, pythons[program.name], model, pictures)
    print_tables(lines, models, [p.name for p in chosen])
    report = {"benchmark": "serving", "commit": commit(), "machine": machine()}
    report |= {"versions": versions(), "rounds": options.rounds, "seconds": options.seconds}
    text = json.dumps({**report, "lines": lines})
    if options.out is not None:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    print(text)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    made.add_argument("--warm-up", type=float, default=1.0, help="seconds before each")
    made.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    made.add_argument("--programs", default=";".join(p.name for p in PROGRAMS))
    made.add_argument("--models", default=",".join(m.name for m in MODELS))
    made.add_argument("--clients", default=",".join(map(str, CLIENTS)))
    temporary = Path(tempfile.gettempdir())
    made.add_argument("--environments", type=Path, default=temporary / "foveal-bench-environments")
    made.add_argument("--scratch", type=Path, default=temporary / "foveal-bench-serving")
    made.add_argument("--out", type=Path, help="append the JSON line to this file")
    return made.parse_args()


def write_pictures(folder: Path) -> list[bytes]:
    """Return JPEGs of 256 x 256 pixels, about 15 KB each, and keep them for the bare loop."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for i in range(_PICTURES):
        rng = np.random.default_rng(i)
        pixels = np.zeros((_SIDE, _SIDE, 3))
        # Detail at every scale, as photographs have it.
        for cell in (4, 8, 16, 32, 64, 128):
            small = rng.normal(0, cell**0.5, (_SIDE // cell, _SIDE // cell, 3))
            pixels += np.kron(small, np.ones((cell, cell, 1)))
        pixels = np.clip(128 + 2.5 * pixels, 0, 255).astype(np.uint8)
        pictures.append(simplejpeg.encode_jpeg(pixels, quality=_QUALITY))
        (folder / f"{i:02d}.jpg").write_bytes(pictures[-1])
    return pictures


def bare_lines(options: argparse.Namespace, model: Model, bundle: Path) -> list[dict[str, Any]]:
    """Measure the bare loop: in one process with every thread, and in one process for each core."""
    line = [sys.executable, str(HERE / "bare_loop.py"), str(bundle)]
    line += [str(options.scratch / "pictures"), "--seconds", str(options.seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    lines = []
    for name, processes, threads in (
        ("bare loop", 1, options.workers),
        ("bare loops", options.workers, 1),
    ):
        running = [
            subprocess.Popen(
                [*line, "--threads", str(threads)], stdout=subprocess.PIPE, env=environment
            )
            for _ in range(processes)
        ]
        results = [json.loads(process.communicate()[0]) for process in running]
        rate = sum(result["rate"] for result in results)
        cpu = statistics.fmean(result["cpu_ms"] for result in results)
        lines.append({"model": model.name, "program": name, "rate": rate, "cpu_ms": cpu})
        note(f"{model.name:6} {name:10} {rate:7.0f}/s  {cpu:.2f} ms of processor time")
    return lines


def program_lines(
    options: argparse.Namespace,
    program: Program,
    python: Path,
    model: Model,
    pictures: Sequence[bytes],
) -> list[dict[str, Any]]:
    """Measure a server with each number of clients."""
    bundle = options.scratch / model.name
    asked = options.scratch / f"{program.name}-{model.name}.requests"
    requests = requests_for(program, model, pictures)
    write_requests(asked, requests)
    lines = []
    with started(
        program,
        python,
        bundle,
        model,
        workers=options.workers,
        scratch=options.scratch,
        request=requests[0],
    ) as running:
        client = [sys.executable, str(HERE / "load_client.py"), str(asked)]
        client += ["--port", str(running.port), "--seconds", str(options.seconds)]
        client += ["--warm-up", str(options.warm_up)]
        # One of them answers; the other workers may still load the model.
        time.sleep(2.0)
        for clients in map(int, options.clients.split(",")):
            before = running.cpu_s()
            done = subprocess.run(
                [*client, "--clients", str(clients)], check=True, stdout=subprocess.PIPE
            )
            line = json.loads(done.stdout)
            used = running.cpu_s() - before
            line |= {"model": model.name, "program": program.name, "clients": clients}
            line["cpu_ms"] = 1000 * used / max(1, line["answered"])
            line["memory_mb"] = running.memory_mb()
            lines.append(line)
            note(
                f"{model.name:6} {program.name:10} {clients:3d} clients {line['rate']:7.0f}/s  "
                f"p50 {line['p50_ms'] or 0:.1f} p99 {line['p99_ms'] or 0:.1f} ms  "
                f"{line['cpu_ms']:.2f} ms of processor time (client "
                f"{line['client_cpu_ms']:.2f})  {line['memory_mb']:.0f} MB"
                f"{'  failed: ' + str(line['failures']) if line['failures'] else ''}"
            )
    return lines


def print_tables(
    lines: Sequence[dict[str, Any]], models: Sequence[Model], names: list[str]
) -> None:
    """Print medians over the rounds as tables in Markdown."""
    groups: defaultdict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        groups[line["model"], line["program"], line.get("clients")].append(line)
    for model in models:
        note(f"\n### {model.name}: {model.backbone}, {model.side} px\n")
        clients = sorted({line["clients"] for line in lines if "clients" in line})
        shown = [f"{n} clients: requests/s; p50, p99 ms" for n in clients]
        note("| | " + " | ".join(shown) + " | processor ms a request | MB |")
        note("|---|" + "---|" * (len(clients) + 2))
        for name in ("bare loop", "bare loops"):
            own = groups[model.name, name, None]
            note(
                f"| {name} | {_span(own, 'rate')} |"
                + " |" * (len(clients) - 1)
                + f" {_span(own, 'cpu_ms', 2)} | |"
            )
        for name in names:
            rows = [groups[model.name, name, n] for n in clients]
            cells = [
                f"{_span(own, 'rate')}; {_middle(own, 'p50_ms'):.1f}, {_middle(own, 'p99_ms'):.1f}"
                for own in rows
            ]
            cpu = ", ".join(f"{_middle(own, 'cpu_ms'):.2f}" for own in rows)
            memory = max(_middle(own, "memory_mb") for own in rows)
            note(f"| {name} | {' | '.join(cells)} | {cpu} | {memory:.0f} |")


def _middle(lines: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.median(line[key] or 0.0 for line in lines)


def _span(lines: Sequence[dict[str, Any]], key: str, digits: int = 0) -> str:
    values = [line[key] for line in lines]
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    main()
