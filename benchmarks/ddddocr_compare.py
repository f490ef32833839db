"""A bundle against ddddocr on the same captchas: exact match, one picture, a folder of pictures.

The pictures are fresh ones of the plain `captcha` package, or a folder with a labels.csv that no
model was trained on. ddddocr is a general reader that was not trained for them; it answers upper
and lower case, so texts are compared without case. Times are of whole processes, in turns: of one
picture, and of a folder, which ddddocr reads in a loop (it has no batches); the difference of the
two tells the milliseconds of a further picture. Both of its models for text are measured.

    python benchmarks/ddddocr_compare.py --ddddocr-python VENV/bin/python --bundle RUN
    python benchmarks/ddddocr_compare.py --ddddocr-python VENV/bin/python --bundle RUN \\
        --count 20 --rounds 2 --folder-rounds 1
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import foveal_command
import reader_run
from holdout import list_texts
from other_program import Other
from outcome import Outcome, add_out, note, report
from plain_captchas import write_captchas

MODELS = ("default", "beta")
OURS = "foveal"


def main() -> None:
    """Let all programs read the same pictures in turns; report accuracy and speed."""
    arguments = parse_arguments()
    other = Other(arguments.ddddocr_python, ("ddddocr",))
    other.check()
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary) / "pictures"
        truth = gather(arguments, folder)
        names = sorted(truth)
        one: dict[str, list[float]] = {}
        many: dict[str, list[float]] = {}
        for number in range(arguments.rounds):
            turn(one, other, arguments.bundle, folder / names[number % len(names)])
        answers = {}
        for _ in range(arguments.folder_rounds):
            answers = turn(many, other, arguments.bundle, folder)
            took = ", ".join(f"{program} {times[-1]:.2f} s" for program, times in many.items())
            note(f"  {len(names)} pictures: {took}")
    accuracies = {program: accuracy(answers[program], truth) for program in answers}
    for program, found in accuracies.items():
        reader_run.say(program, found)
    for outcome in outcomes(accuracies, one, many, other.version("ddddocr")):
        report(outcome, arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument(
        "--ddddocr-python",
        type=Path,
        required=True,
        help="interpreter of an environment with ddddocr",
    )
    made.add_argument("--bundle", type=Path, required=True, help="a run or a bundle of a reader")
    made.add_argument("--pictures", type=Path, default=None, help="a folder with labels.csv")
    made.add_argument("--count", type=int, default=1000, help="captchas drawn without --pictures")
    made.add_argument("--rounds", type=int, default=15, help="of one picture")
    made.add_argument("--folder-rounds", type=int, default=3, help="of the folder")
    return made.parse_args()


def gather(arguments: argparse.Namespace, folder: Path) -> dict[str, str]:
    """Put the pictures alone into a folder; return the text of each by its name."""
    source = arguments.pictures
    if source is None:
        source = folder.with_name("drawn")
        write_captchas(source, arguments.count)
    folder.mkdir()
    items = list_texts(source)
    for item in items:
        shutil.copyfile(item.path, folder / item.path.name)
    return {item.path.name: item.label for item in items}


def turn(
    times: dict[str, list[float]], other: Other, bundle: Path, pictures: Path
) -> dict[str, Mapping[str, str]]:
    """Let every program read a picture or a folder; keep the seconds, return the answers."""
    answers: dict[str, Mapping[str, str]] = {}
    answers[OURS], wall_s = read(bundle, pictures)
    times.setdefault(OURS, []).append(wall_s)
    for model in MODELS:
        name = f"ddddocr_{model}"
        answers[name], wall_s = other.run("ddddocr_read.py", model, pictures)
        times.setdefault(name, []).append(wall_s)
    return answers


def read(bundle: Path, pictures: Path) -> tuple[dict[str, str], float]:
    """Return what `foveal predict` answers for each picture, and the seconds of its process."""
    line = foveal_command.command("predict", bundle, pictures, "--json", "--quiet")
    start = time.perf_counter()
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env=foveal_command.environment()
    )
    wall_s = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(line)}\nended with {done.returncode}:\n{done.stderr[-3000:]}")
    answers = [json.loads(text) for text in done.stdout.splitlines()]
    return {Path(answer["source"]).name: answer["text"] for answer in answers}, wall_s


def is_same(text: str, truth: str) -> bool:
    """Tell whether two texts are the same but for upper and lower case."""
    return text.casefold() == truth.casefold()


def accuracy(answers: Mapping[str, str], truth: Mapping[str, str]) -> dict[str, Any]:
    """Return the share of pictures read exactly but for case; one without an answer is wrong."""
    right = sum(name in answers and is_same(answers[name], truth[name]) for name in truth)
    return reader_run.share(right, len(truth))


def further_ms(one_s: Sequence[float], many_s: Sequence[float], pictures: int) -> float:
    """Return the milliseconds of each picture after the first, from medians of whole processes."""
    more_s = statistics.median(many_s) - statistics.median(one_s)
    return 1000 * more_s / max(1, pictures - 1)


def outcomes(
    accuracies: Mapping[str, dict[str, Any]],
    one: Mapping[str, Sequence[float]],
    many: Mapping[str, Sequence[float]],
    version: str,
) -> list[Outcome]:
    """Return the figures of foveal and of ddddocr, all for information."""
    pictures = accuracies[OURS]["count"]
    made = [
        Outcome(
            claim=f"captcha_exact_{program}",
            what=f"{program.replace('_', ', ')}: exact match without case on {pictures:,} pictures",
            unit="share",
            values=(found["value"],),
            target=None,
            detail={**found, "ddddocr": version},
        )
        for program, found in accuracies.items()
    ]
    detail = {
        "ddddocr": version,
        "pictures": pictures,
        "one_s": dict(one),
        "one_median_s": {name: statistics.median(times) for name, times in one.items()},
        "folder_s": dict(many),
        "further_ms": {name: further_ms(one[name], many[name], pictures) for name in one},
    }
    for claim, what, times in (
        ("ddddocr_one", "one picture", one),
        ("ddddocr_folder", f"a folder of {pictures:,} pictures", many),
    ):
        pairs = zip(times[OURS], times["ddddocr_default"], strict=True)
        made.append(
            Outcome(
                claim=claim,
                what=f"foveal predict of {what}, whole process, relative to ddddocr, default",
                unit="ratio",
                values=tuple(ours / theirs for ours, theirs in pairs),
                target=None,
                better="low",
                judged_by="median",
                detail=detail,
            )
        )
    return made


if __name__ == "__main__":
    main()
