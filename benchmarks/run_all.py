"""Run every benchmark one after the other and render the table of results in README.md.

    python benchmarks/run_all.py --keras-python VENV/bin/python \\
        --fastai-python FASTAI/bin/python --nnunet-python NNUNET/bin/python \\
        --ddddocr-python OTHER/bin/python --reader RUN                      # everything, hours
    python benchmarks/run_all.py --only letters,predict_latency --keras-python VENV/bin/python
    python benchmarks/run_all.py --render                                   # only the table

Leave the machine alone meanwhile: most claims are about time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import foveal_command
from holdout import list_items, write_folders
from outcome import Outcome, human_line, note, report, shared, show

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
SERVER = "server_throughput"
SCRIPTS = (
    "predict_latency",
    SERVER,
    "keras_throughput",
    "training_step",
    "fine_tuning",
    "fastai_accuracy",
    "letters",
    "laptop_phone",
    "transfer",
    "signature_text",
    "shifts",
    "sources",
    "unfamiliar",
    "cifar10",
    "training_memory",
    "synth_rate",
    "captcha_fresh",
    "captcha_own",
    "expressions",
    "page_cuts",
    "reader_throughput",
    "ddddocr_compare",
    "segment_unet",
    "nnunet",
    "mask_decision",
    "instances",
    "tiling_throughput",
    "patches",
    "slide_memory",
)
# What a script cannot do without: (its option, ours).
NEEDS = {
    "keras_throughput": (("--keras-python", "keras_python"),),
    "fine_tuning": (("--keras-python", "keras_python"), ("--fastai-python", "fastai_python")),
    "fastai_accuracy": (("--fastai-python", "fastai_python"),),
    "reader_throughput": (("--tf-python", "keras_python"),),
    "nnunet": (("--nnunet-python", "nnunet_python"),),
    "ddddocr_compare": (("--ddddocr-python", "ddddocr_python"), ("--bundle", "reader")),
}


def main() -> None:
    """Run what is asked for, then render."""
    arguments = parse_arguments()
    failed = []
    if not arguments.render:
        for name in chosen(arguments.only):
            note(f"== {name}")
            if not run(name, arguments):
                failed.append(name)
    lines = latest(read(arguments.out))
    if lines:
        README.write_text(rendered(README.read_text(encoding="utf-8"), lines), encoding="utf-8")
    for line in lines:
        note(human_line(line))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("--out", type=Path, default=HERE / "results.jsonl")
    made.add_argument("--only", default=None, help="names joined by commas")
    made.add_argument("--keras-python", type=Path, default=None)
    made.add_argument("--fastai-python", type=Path, default=None)
    made.add_argument("--ddddocr-python", type=Path, default=None)
    made.add_argument("--nnunet-python", type=Path, default=None)
    made.add_argument(
        "--reader", type=Path, default=None, metavar="RUN", help="to be compared with ddddocr"
    )
    made.add_argument("--render", action="store_true", help="only write the table")
    return made.parse_args()


def chosen(only: str | None) -> Sequence[str]:
    """Return the scripts to run.

    Raises:
        SystemExit: For a name that is none of them.
    """
    if only is None:
        return SCRIPTS
    names = only.split(",")
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}. Expected some of: {', '.join(SCRIPTS)}")
    return names


def run(name: str, arguments: argparse.Namespace) -> bool:
    """Run one script; tell whether it ended well."""
    if name == SERVER:
        return run_server(arguments.out)
    line = [sys.executable, str(HERE / f"{name}.py"), "--out", str(arguments.out)]
    for option, ours in NEEDS.get(name, ()):
        value = getattr(arguments, ours)
        if value is None:
            note(f"{name} needs --{ours.replace('_', '-')}")
            return False
        line += [option, str(value)]
    done = subprocess.run(
        line, check=False, env=foveal_command.environment(), stdout=subprocess.DEVNULL
    )
    return done.returncode == 0


def run_server(out: Path) -> bool:
    """Serve a network that was trained on cats and dogs, and report its share of a bare loop."""
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        data = write_folders(list_items(shared("cats_dogs")), folder / "data")
        trained = foveal_command.train(data, folder / "runs", "served", ["--strategy", "frozen"])
        line = [sys.executable, str(HERE / f"{SERVER}.py")]
        line += ["--model", trained.json["bundle"], "--pictures", str(data)]
        done = subprocess.run(
            line, check=False, env=foveal_command.environment(), stdout=subprocess.PIPE, text=True
        )
    if done.returncode != 0:
        return False
    report(server_outcome(json.loads(done.stdout.strip().splitlines()[-1])), out)
    return True


def server_outcome(found: dict[str, Any]) -> Outcome:
    """Return the claim that server_throughput.py measured."""
    rates = found["rates_per_s"]
    best = [max(pair) for pair in zip(rates["loop_1"], rates["loop_16"], strict=True)]
    return Outcome(
        claim=SERVER,
        what=f"rate of the server with {found['clients']} clients on {found['cores']} cores, "
        "relative to the faster of two bare loops of decode, pre-process and ONNX Runtime",
        unit="ratio",
        values=tuple(rate / loop for rate, loop in zip(rates["server"], best, strict=True)),
        target=0.7,
        judged_by="median",
        detail={"server_rate_median": statistics.median(rates["server"]), **found},
    )


def read(path: Path) -> list[dict[str, Any]]:
    """Return the JSON lines of a file; none when there is no such file."""
    if not path.is_file():
        return []
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text]


def latest(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last line of each claim, in the order in which claims first appear."""
    return list({line["claim"]: line for line in lines}.values())


def rendered(readme: str, lines: Sequence[dict[str, Any]]) -> str:
    """Return the README with the table between its two marks replaced.

    Raises:
        SystemExit: When the marks are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README} lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(lines)}\n{END}{after}"


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Return the results as a Markdown table, then where they were measured."""
    rows = [
        "| claim | what | measured | spread | n | target | met |",
        "|---|---|---|---|---|---|---|",
        *(_row(line) for line in lines),
    ]
    places = sorted({_place(line) for line in lines})
    return "\n".join([*rows, "", *(f"- {place}" for place in places)])


def _row(line: dict[str, Any]) -> str:
    unit = line["unit"]
    sd = f"sd {show(line['sd'], unit)}; " if line["sd"] is not None else ""
    spread = f"{sd}{show(line['min'], unit)} to {show(line['max'], unit)}"
    sign = "≥" if line["better"] == "high" else "≤"
    targets = [f"{sign} {show(line['target'], unit)}"] if line["target"] is not None else []
    measured = f"{show(line[line['judged_by']], unit)} ({line['judged_by']})"
    for name, limit in line["limits"].items():
        measured += f"; {name} {limit['measured']:.1f}"
        targets.append(f"{name} ≤ {limit['at_most']:.0f}")
    met = {True: "yes", False: "**no**", None: "–"}[line["met"]]
    target = "; ".join(targets) or "–"
    cells = (line["claim"], line["what"], measured, spread, line["n"], target, met)
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _place(line: dict[str, Any]) -> str:
    machine, versions = line["machine"], line["versions"]
    packages = ", ".join(f"{name} {v}" for name, v in versions.items() if v is not None)
    return (
        f"commit `{line['commit'][:9]}`, {line['time'][:10]}: {machine['processor']}, "
        f"{machine['cores']} cores, bf16 {'yes' if machine['bf16'] else 'no'}, "
        f"{machine['memory_gb']} GB; {packages}"
    )


if __name__ == "__main__":
    main()
