"""Hold runs beside each other: what differs in the recipe, the metrics, and a paired test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, final

import yaml

from foveal.errors import DataError, UsageError
from foveal.evaluate.results import Results
from foveal.evaluate.table import read_correct
from foveal.metrics import Interval, holm, mcnemar, paired_difference
from foveal.render.markup import page_html, table_html
from foveal.types import JsonObject

_HINT = "foveal evaluate MODEL DATA --out FOLDER"
# The reasons are words about the recipe, not part of it.
_IGNORED = ("reasons", "schema_version")


@final
@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: Last part of the path; the whole path where that is ambiguous.
        path: Path of the run.
        values: What its `metrics.json` holds.
        recipe: Dotted key → value; empty where there is no recipe.yaml.
        correct: Picture → whether the answer was right.
    """

    name: str
    path: Path
    values: JsonObject
    recipe: dict[str, Any]
    correct: dict[str, bool]


@final
@dataclass(frozen=True, slots=True)
class PairedTest:
    """A run against the first one, on the pictures that both answered.

    Attributes:
        run: Name of the run.
        baseline: Name of the first run.
        common: How many pictures both answered.
        gained: Right here, wrong in the first.
        lost: Wrong here, right in the first.
        difference: Share of right answers here minus there, with its 95 % interval.
        p_value: Exact McNemar, adjusted by Holm when several runs are tested; None without
            common pictures.
    """

    run: str
    baseline: str
    common: int
    gained: int
    lost: int
    difference: Interval
    p_value: float | None

    def to_json(self) -> JsonObject:
        """Return JSON values."""
        return {
            "run": self.run,
            "baseline": self.baseline,
            "common": self.common,
            "gained": self.gained,
            "lost": self.lost,
            "difference": self.difference.to_json(),
            "p_value": self.p_value,
        }


@final
@dataclass(frozen=True, repr=False)
class Comparison:
    """Several runs beside each other; the first is the baseline.

    Attributes:
        runs: At least two.
        differing: Recipe keys whose values are not the same in all runs.
        tests: One for every run but the first.
    """

    runs: tuple[ComparedRun, ...]
    differing: tuple[str, ...]
    tests: tuple[PairedTest, ...]

    def __repr__(self) -> str:
        """Return one line; `print(comparison.table)` shows all."""
        return f"Comparison({', '.join(run.name for run in self.runs)})"

    @property
    def table(self) -> str:
        """Return the comparison as aligned text."""
        header, rows = self._cells()
        columns = list(zip(header, *rows, strict=True))
        widths = [max(len(cell) for cell in column) for column in columns]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (header, *rows)
        ]
        return "\n".join([*lines, "", *self._sentences()])

    def to_markdown(self) -> str:
        """Return the comparison as a Markdown table and the tests as sentences."""
        header, rows = self._cells()
        lines = [header, ["---"] * len(header), *rows]
        table = ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines]
        return "\n".join([*table, "", *(f"- {sentence}" for sentence in self._sentences()), ""])

    def to_json(self) -> JsonObject:
        """Return what `compare --json` prints."""
        return {
            "schema_version": 1,
            "task": self.runs[0].values["task"],
            "runs": [
                {
                    "run": run.name,
                    "path": str(run.path),
                    "samples": run.values["samples"],
                    "metrics": run.values["metrics"],
                    "recipe": {key: run.recipe.get(key) for key in self.differing},
                }
                for run in self.runs
            ],
            "tests": [test.to_json() for test in self.tests],
        }

    def write(self, out: Path) -> None:
        """Write `compare.json`, `compare.md` and `compare.html` into a folder."""
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        (out / "compare.json").write_text(text + "\n", encoding="utf-8")
        (out / "compare.md").write_text(self.to_markdown(), encoding="utf-8")
        page = page_html("Comparison", self._repr_html_())
        (out / "compare.html").write_text(page, encoding="utf-8")

    def _repr_html_(self) -> str:
        """Return the table and the sentences for a notebook."""
        header, rows = self._cells()
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in self._sentences())
        return f"{table_html(header, rows)}<ul>{sentences}</ul>"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        names = list(dict.fromkeys(n for run in self.runs for n in run.values["metrics"]))
        header = ["run", *self.differing, "pictures", *names]
        rows = [
            [
                run.name,
                *(_word(run.recipe.get(key)) for key in self.differing),
                str(run.values["samples"]),
                *(_metric(run.values["metrics"].get(name)) for name in names),
            ]
            for run in self.runs
        ]
        return header, rows

    def _sentences(self) -> list[str]:
        return [_sentence(test) for test in self.tests]


def compare(runs: Sequence[Path | Results]) -> Comparison:
    """Read runs and test every one against the first, picture by picture.

    Args:
        runs: Run directories, folders that `evaluate` wrote, or evaluations; the first is the
            baseline.

    Raises:
        UsageError: For fewer than two runs, or runs of different tasks.
        DataError: When a run has no readable metrics.json or predictions.csv.
    """
    if len(runs) < 2:
        raise UsageError(
            f"Expected at least two runs to compare. Received: {len(runs)}.",
            hint="foveal compare RUN RUN",
        )
    last = [run.name if isinstance(run, Path) else run.manifest.name for run in runs]
    names = [
        name if last.count(name) == 1 else str(run) if isinstance(run, Path) else f"{name} {i}"
        for i, (run, name) in enumerate(zip(runs, last, strict=True), 1)
    ]
    read = [
        _read(run, name) if isinstance(run, Path) else _known(run, name)
        for run, name in zip(runs, names, strict=True)
    ]
    tasks = sorted({str(run.values["task"]) for run in read})
    if len(tasks) > 1:
        raise UsageError(f"Runs of different tasks cannot be compared. Received: {tasks}.")
    keys = list(dict.fromkeys(key for run in read for key in run.recipe))
    with_recipe = [run for run in read if run.recipe]
    differing = tuple(
        key for key in keys if len({repr(run.recipe.get(key)) for run in with_recipe}) > 1
    )
    return Comparison(tuple(read), differing, _tests(read))


def _tests(runs: Sequence[ComparedRun]) -> tuple[PairedTest, ...]:
    base = runs[0]
    drafts: list[tuple[ComparedRun, list[bool], list[bool]]] = []
    for run in runs[1:]:
        common = [image for image in base.correct if image in run.correct]
        before, after = [base.correct[i] for i in common], [run.correct[i] for i in common]
        drafts.append((run, before, after))
    adjusted = iter(holm([mcnemar(before, after) for _, before, after in drafts if before]))
    return tuple(
        PairedTest(
            run=run.name,
            baseline=base.name,
            common=len(before),
            gained=sum(b and not a for a, b in zip(before, after, strict=True)),
            lost=sum(a and not b for a, b in zip(before, after, strict=True)),
            difference=paired_difference(before, after),
            p_value=next(adjusted) if before else None,
        )
        for run, before, after in drafts
    )


def _known(evaluation: Results, name: str) -> ComparedRun:
    answers = zip(evaluation.measured.samples, evaluation.correct, strict=True)
    correct = {sample.id: bool(right) for sample, right in answers}
    return ComparedRun(name, Path(evaluation.location), evaluation.to_json(), {}, correct)


def _read(path: Path, name: str) -> ComparedRun:
    file = path / "metrics.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        values["task"], values["samples"], values["metrics"].items()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} has no readable metrics.json: {error!r}", hint=_HINT) from error
    recipe: dict[str, Any] = {}
    if (path / "recipe.yaml").is_file():
        try:
            loaded = yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise DataError(f"Cannot read {path / 'recipe.yaml'}: {error}") from error
        recipe = _flatten(loaded) if isinstance(loaded, dict) else {}
    return ComparedRun(name, path, values, recipe, read_correct(path / "predictions.csv"))


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if not prefix and key in _IGNORED:
            continue
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _word(value: Any) -> str:
    return "-" if value is None else str(value)


def _metric(metric: JsonObject | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    text = f"{100 * metric['value']:.2f} %"
    if metric["low"] is None:
        return text
    return f"{text} ({100 * metric['low']:.1f} to {100 * metric['high']:.1f})"


def _sentence(test: PairedTest) -> str:
    if test.p_value is None:
        return f"{test.run} and {test.baseline} answered no picture in common: no paired test."
    difference = test.difference
    verdict = "more than chance explains" if test.p_value < 0.05 else "no more than chance explains"
    return (
        f"{test.run} against {test.baseline} on {test.common} common pictures: "
        f"{100 * difference.value:+.2f} points ({100 * difference.low:+.2f} to "
        f"{100 * difference.high:+.2f}), {test.gained} gained, {test.lost} lost, "
        f"p = {test.p_value:.2g} (McNemar): {verdict}."
    )
