"""Ten minutes at 80 % load: does the memory of the server grow, and does any request fail?

What the server can do is measured first, with as many clients; then they keep to 80 % of that rate
while the memory of all its processes is read every few seconds. The slope is that of a straight
line through the readings after the first fifth, when every size of batch and picture has been met.

    python benchmarks/serving/soak.py --minutes 10
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compare import write_pictures
from load_client import write_requests
from programs import HERE, PROGRAMS, Running, requests_for, started
from untrained_classifiers import MODELS, write_untrained

from outcome import add_out, commit, machine, note, versions

_LOAD = 0.8
_CAPACITY_S = 10.0
_EVERY_S = 5.0
_WARM_UP_SHARE = 0.2


def main() -> None:
    """Measure; print a sentence on stderr and one JSON line."""
    options = parse_arguments()
    program = next(program for program in PROGRAMS if program.name == "foveal")
    model = next(model for model in MODELS if model.name == options.model)
    options.scratch.mkdir(parents=True, exist_ok=True)
    bundle = options.scratch / model.name
    if not bundle.exists():
        write_untrained(model, bundle)
    requests = requests_for(program, model, write_pictures(options.scratch / "pictures"))
    asked = options.scratch / f"soak-{model.name}.requests"
    write_requests(asked, requests)
    with started(
        program,
        Path(sys.executable),
        bundle,
        model,
        workers=len(os.sched_getaffinity(0)),
        scratch=options.scratch,
        request=requests[0],
    ) as running:
        client = [sys.executable, str(HERE / "load_client.py"), str(asked)]
        client += ["--port", str(running.port), "--clients", str(options.clients)]
        line = [*client, "--seconds", str(_CAPACITY_S)]
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE)
        capacity = float(json.loads(done.stdout)["rate"])
        rate = _LOAD * capacity
        note(f"{capacity:.0f} requests a second at most; {options.minutes:g} minutes at {rate:.0f}")
        line = [*client, "--seconds", str(60 * options.minutes), "--rate", f"{rate:.3f}"]
        report, memory = soak(line, running)
    report |= summary(memory) | {"benchmark": "soak", "capacity": capacity, "asked_rate": rate}
    report |= {"model": model.name, "clients": options.clients, "minutes": options.minutes}
    report |= {"commit": commit(), "machine": machine(), "versions": versions()}
    note(
        f"{report['answered']} answers, {sum(report['failures'].values())} failures, "
        f"p50 {report['p50_ms']:.1f} ms, p99 {report['p99_ms']:.1f} ms; memory "
        f"{report['first_mb']:.0f} to {report['last_mb']:.0f} MB, "
        f"{report['slope_mb_per_minute']:+.3f} MB a minute"
    )
    text = json.dumps(report)
    if options.out is not None:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    print(text)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("--minutes", type=float, default=10.0)
    made.add_argument("--clients", type=int, default=16)
    made.add_argument("--model", default="tiny", choices=[m.name for m in MODELS])
    scratch = Path(tempfile.gettempdir()) / "foveal-bench-serving"
    made.add_argument("--scratch", type=Path, default=scratch)
    add_out(made)
    return made.parse_args()


def soak(line: list[str], running: Running) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """Run the client to its end; return its report and (seconds, megabytes) of the server."""
    memory = []
    begun = time.monotonic()
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as client:
        while client.poll() is None:
            memory.append((time.monotonic() - begun, running.memory_mb()))
            try:
                client.wait(_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
        said = client.stdout.read() if client.stdout is not None else ""
    if client.returncode != 0:
        raise SystemExit(f"the client ended with {client.returncode}")
    report: dict[str, Any] = json.loads(said)
    return report, memory


def summary(memory: list[tuple[float, float]]) -> dict[str, float]:
    """Return the slope of the memory and its first and last readings after the warm-up."""
    times, sizes = np.array(memory).T
    counted = times >= _WARM_UP_SHARE * times[-1]
    if counted.sum() < 3:
        raise SystemExit(f"too few readings of the memory: {len(memory)}. Run it for longer.")
    slope = np.polyfit(times[counted] / 60, sizes[counted], 1)[0]
    own = sizes[counted]
    return {
        "first_mb": float(own[0]),
        "last_mb": float(own[-1]),
        "largest_mb": float(own.max()),
        "slope_mb_per_minute": float(slope),
        "readings": int(counted.sum()),
    }


if __name__ == "__main__":
    main()
