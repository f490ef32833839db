"""What a training of a reader, and its evaluation on fresh pictures, gave in figures."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

import foveal_command
from foveal.metrics import wilson
from outcome import add_out, note, seeds

# Of what was misread, so many are kept in the line.
_WORST = 12


def parser(description: str, *, budget: str | None, count: int | None) -> argparse.ArgumentParser:
    """Return the options of a benchmark that trains on drawn pictures."""
    made = argparse.ArgumentParser(description=description)
    add_out(made)
    made.add_argument("--bundle", type=Path, default=None, metavar="RUN", help="only measure this")
    made.add_argument("--count", type=int, default=count, help="pictures of one drawn set")
    made.add_argument("--budget", default=budget, help="of the training, such as 60s or 40m")
    made.add_argument("--pictures", type=int, default=None, metavar="N", help="to be tested on")
    made.add_argument("--repeats", type=int, default=1, help="trainings, each with its seed")
    made.add_argument("--first-seed", type=int, default=1)
    made.add_argument("--runs", type=Path, default=None, help="keep the runs in this folder")
    made.add_argument(
        "--train-option",
        action="append",
        default=[],
        metavar="ARG",
        help="passed on to foveal train, as --train-option=--device --train-option=cuda",
    )
    return made


def runs_folder(arguments: argparse.Namespace) -> AbstractContextManager[str | Path]:
    """Return the folder for the runs: the one asked for, or one that goes away."""
    if arguments.runs is not None:
        return nullcontext(arguments.runs)
    return TemporaryDirectory(prefix="foveal-bench-")


def trials(
    kind: str, name: str, options: Sequence[str], arguments: argparse.Namespace
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each run with its `run_facts`: the one given, or trainings as many as asked for.

    The facts of a training hold the seconds of its whole process too.
    """
    if arguments.bundle is not None:
        yield arguments.bundle, run_facts(arguments.bundle)
        return
    with runs_folder(arguments) as out:
        for seed in seeds(arguments.repeats, arguments.first_seed):
            yield train(kind, f"{name}-{seed}", seed, options, arguments, Path(out))


def minutes(facts: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the minutes of the longest training, drawing included; None for bundles alone."""
    took_s = [one.get("wall_s", one.get("to_bundle_s")) for one in facts]
    known = [one for one in took_s if one is not None]
    return max(known) / 60 if known else None


def train(
    kind: str,
    name: str,
    seed: int,
    options: Sequence[str],
    arguments: argparse.Namespace,
    out: Path,
) -> tuple[Path, dict[str, Any]]:
    """Train on pictures drawn meanwhile; return the run and its facts."""
    source = f"synth:{kind}?count={arguments.count}&seed={seed}"
    line = ["--task", "read", "--budget", arguments.budget, "--seed", str(seed)]
    line += [*options, *arguments.train_option]
    done = foveal_command.train(source, out, name, line)
    run = Path(done.json["run"])
    return run, run_facts(run) | {"wall_s": round(done.wall_s, 2)}


def run_facts(run: Path) -> dict[str, Any]:
    """Return how a run was trained: pictures seen, seconds, rates; empty for a bundle alone."""
    if not (run / "results.csv").is_file():
        return {}
    with (run / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    manifest = json.loads((run / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    begun, ended = (datetime.fromisoformat(t) for t in (environment["time"], manifest["created"]))
    fit_s = sum(float(row["seconds"]) for row in rows)
    seen = pictures_seen(rows, manifest["data"]["train"], recipe["train"]["batch_size"])
    return {
        "head": head_of(run),
        "backbone": recipe["model"]["backbone"],
        "epochs": len(rows),
        "pictures_seen": seen,
        "fit_s": round(fit_s, 2),
        "to_bundle_s": (ended - begun).total_seconds(),
        "loop_per_s": seen / fit_s,
        "train_per_s": [float(row["pictures_per_s"]) for row in rows],
        "seconds_to_99.5": seconds_to(rows, "val_exact_match", 0.995),
        "validation": manifest["metrics"],
        "options": environment["command"][1:],
    }


def head_of(model: Path) -> str:
    """Return the head of a run or of a bundle."""
    folder = model / "bundle" if (model / "bundle").is_dir() else model
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    head: str = manifest["task_options"].get("head", "ctc")
    return head


def pictures_seen(rows: Sequence[Mapping[str, str]], per_epoch: int, batch_size: int) -> int:
    """Return how many pictures were trained on; a budget may have cut the last epoch short.

    Args:
        rows: Of results.csv.
        per_epoch: Pictures of a whole epoch.
        batch_size: Of the recipe.
    """
    if not rows:
        return 0
    before = int(rows[-2]["step"]) if len(rows) > 1 else 0
    last = min(per_epoch, (int(rows[-1]["step"]) - before) * batch_size)
    return (len(rows) - 1) * per_epoch + last


def seconds_to(rows: Sequence[Mapping[str, str]], metric: str, target: float) -> float | None:
    """Return the seconds of training until a metric of results.csv reached a target, or None."""
    passed = 0.0
    for row in rows:
        passed += float(row["seconds"])
        if float(row[metric]) >= target:
            return round(passed, 2)
    return None


def share(right: int, count: int) -> dict[str, Any]:
    """Return a share with its 95 % Wilson interval."""
    low, high = wilson(right, count)
    return {"right": right, "count": count, "value": right / count, "low": low, "high": high}


def exact(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the share of texts read exactly, from what `evaluate --json` printed.

    A picture that could not be measured, such as one with a character that the bundle does not
    know, counts as misread.
    """
    count = measured["samples"] + measured["failures"]["count"]
    return share(measured["correct"], count)


def worst(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was misread most: confused characters, lengths, the surest mistakes."""
    details = measured["details"]
    return {
        "confused": details["confused"][:_WORST],
        "edits": details["edits"],
        "lengths": details["lengths"],
        "mistakes": details["mistakes"][:_WORST],
        "failures": measured["failures"]["codes"],
    }


def say(name: str, found: Mapping[str, Any], confused: Sequence[Mapping[str, Any]] = ()) -> None:
    """Say a share with its interval on stderr, and what was taken for what."""
    low, high = (100 * found[side] for side in ("low", "high"))
    pairs = ", ".join(f"{c['target']}→{c['prediction']} {c['count']}" for c in confused[:_WORST])
    note(
        f"  {name}: {100 * found['value']:.2f} % ({low:.2f} to {high:.2f} %) of "
        f"{found['count']:,}{'; ' + pairs if pairs else ''}"
    )
