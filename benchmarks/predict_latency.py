"""`foveal predict` of one picture, whole process, against a bare script with the same network.

In turns on the same machine; the same picture, the same model file. Also times `foveal --help`.
Judged by the clock; the ratio of the processor's times says the same on a machine that is busy.

    python benchmarks/predict_latency.py --bundle runs/classify/NAME/bundle --picture photo.jpg
"""

from __future__ import annotations

import argparse
import compileall
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import foveal_command
from holdout import list_items, write_folders
from outcome import ROOT, Outcome, add_out, note, report, shared

SCRIPT = Path(__file__).with_name("baselines") / "bare_predict.py"


def main() -> None:
    """Time both in turns and report the ratio of the medians, then the help."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        bundle, picture = model_and_picture(arguments, Path(temporary))
        bare = bare_line(bundle, picture)
        whole = foveal_command.command("predict", bundle, picture)
        check_same_answer(bare, foveal_command.command("predict", bundle, picture, "--json"))
        # A package that pip installs is compiled; a checkout may not be.
        compileall.compile_dir(ROOT / "src", quiet=1)
        lines = {"bare": bare, "foveal": whole, "help": foveal_command.command("--help")}
        times: dict[str, list[float]] = {name: [] for name in lines}
        processor: dict[str, list[float]] = {name: [] for name in lines}
        for _ in range(arguments.rounds):
            for name, line in lines.items():
                wall_s, processor_s = timed(line)
                times[name].append(wall_s)
                processor[name].append(processor_s)
        size_bytes = (bundle / "model.onnx").stat().st_size
    pairs = zip(times["foveal"], times["bare"], strict=True)
    medians = {name: statistics.median(values) for name, values in times.items()}
    report(
        Outcome(
            claim="predict_latency",
            what="foveal predict of one picture, whole process, relative to a bare script "
            "with ONNX Runtime and the same network",
            unit="ratio",
            values=tuple(whole_s / bare_s for whole_s, bare_s in pairs),
            target=1.3,
            better="low",
            judged_by="median",
            detail={
                "ratio_of_medians": medians["foveal"] / medians["bare"],
                "median_s": medians,
                "times_s": times,
                "processor_s": processor,
                "ratio_of_processor_times": statistics.median(
                    whole_s / bare_s
                    for whole_s, bare_s in zip(processor["foveal"], processor["bare"], strict=True)
                ),
                "model_bytes": size_bytes,
            },
        ),
        arguments.out,
    )
    report(
        Outcome(
            claim="help_latency",
            what="foveal --help, whole process",
            unit="s",
            values=tuple(times["help"]),
            target=0.2,
            better="low",
            judged_by="median",
        ),
        arguments.out,
    )


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--bundle", type=Path, default=None, help="a bundle folder; else one is made")
    made.add_argument("--picture", type=Path, default=None, help="a JPEG")
    made.add_argument("--rounds", type=int, default=15)
    return made.parse_args()


def model_and_picture(arguments: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Return the bundle and the picture given, or a frozen-feature bundle of ants and bees."""
    picture = arguments.picture
    if picture is None:
        picture = list_items(shared("hymenoptera", arguments.data))[0].path
    if arguments.bundle is not None:
        return arguments.bundle, picture
    items = list_items(shared("hymenoptera", arguments.data))
    data = write_folders(items, folder / "data")
    trained = foveal_command.train(data, folder / "runs", "latency", ["--strategy", "frozen"])
    return Path(trained.json["bundle"]), picture


def bare_line(bundle: Path, picture: Path) -> list[str]:
    """Return the command line of the bare script for a bundle."""
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    pipeline = manifest["pipeline"]
    color = ",".join(str(part) for part in pipeline["pad_color"])
    line = [sys.executable, SCRIPT, bundle / "model.onnx", picture]
    line += [pipeline["height"], pipeline["width"], color, ",".join(manifest["labels"])]
    return [str(part) for part in line]


def timed(line: list[str]) -> tuple[float, float]:
    """Run a command and return its seconds by the clock and by the processor."""
    environment = foveal_command.environment()
    # Neither program is to be slowed by ONNX Runtime's reports to its makers.
    environment["ORT_DISABLE_TELEMETRY"] = "1"
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(line, capture_output=True, check=True, env=environment)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def check_same_answer(bare: list[str], whole: list[str]) -> None:
    """End the script when the two programs name different labels: then they do not compare."""
    env = foveal_command.environment()
    outputs = [
        subprocess.run(line, capture_output=True, text=True, check=True, env=env).stdout
        for line in (bare, whole)
    ]
    said, answered = outputs[0].strip(), json.loads(outputs[1])["label"]
    note(f"  both answer {answered!r}" if said == answered else f"  {said!r} against {answered!r}")
    if said != answered:
        raise SystemExit("the two programs do not give the same answer")


if __name__ == "__main__":
    main()
