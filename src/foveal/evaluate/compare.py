"""Compare runs: recipes, metrics, learning curves, and a paired test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import yaml

from foveal.errors import DataError, UsageError
from foveal.evaluate.history import History, history_figures, read_history
from foveal.evaluate.paired import PairedTest, paired_tests
from foveal.evaluate.results import Results
from foveal.evaluate.table import read_correct
from foveal.render.markup import page_html, side_by_side, table_html
from foveal.types import JsonObject
from foveal.words import table

_HINT = "foveal evaluate MODEL DATA --out FOLDER"
# The reasons are words about the recipe, not part of it.
_IGNORED = ("reasons", "schema_version")


@final
@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        name: Last part of the path, or the whole path if that is ambiguous.
        path: Path of the run.
        values: Contents of its `metrics.json`.
        recipe: Dotted key → value; empty if there is no recipe.yaml.
        correct: Picture → whether the answer was right.
        history: Rows of its `results.csv`; empty if there is none.
    """

    name: str
    path: Path
    values: JsonObject
    recipe: dict[str, Any]
    correct: dict[str, bool]
    history: History = ()


@final
@dataclass(frozen=True, repr=False)
class Comparison:
    """Comparison of several runs; the first is the baseline.

    Attributes:
        runs: The runs, at least two.
        differing: Recipe keys whose values differ between the runs.
        tests: Paired test of every run but the first against the first.
    """

    runs: tuple[ComparedRun, ...]
    differing: tuple[str, ...]
    tests: tuple[PairedTest, ...]

    def __repr__(self) -> str:
        """Return a summary in one line; `print(comparison.table)` prints the comparison."""
        return f"Comparison({', '.join(run.name for run in self.runs)})"

    @property
    def table(self) -> str:
        """The comparison as a text table with one column per run."""
        rows = table(self._header, [*self._settings, *self._metrics])
        return "\n".join([rows, "", *self._sentences()])

    def to_markdown(self) -> str:
        """Return the comparison as a Markdown table and the tests as sentences."""
        header = self._header
        lines = [header, ["---"] * len(header), *self._settings, *self._metrics]
        table = ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines]
        return "\n".join([*table, "", *(f"- {sentence}" for sentence in self._sentences()), ""])

    def to_json(self) -> JsonObject:
        """Return the output of `compare --json`."""
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
        """Write `compare.json`, `compare.md` and `compare.html` to a folder."""
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        (out / "compare.json").write_text(text + "\n", encoding="utf-8")
        (out / "compare.md").write_text(self.to_markdown(), encoding="utf-8")
        page = page_html("Comparison", self._repr_html_())
        (out / "compare.html").write_text(page, encoding="utf-8")

    def _repr_html_(self) -> str:
        """Return the tables, sentences and curves as HTML, for a notebook and the page."""
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in self._sentences())
        parts = [table_html(self._header, self._metrics), f"<ul>{sentences}</ul>"]
        if self._settings:
            parts += ["<h2>Settings that differ</h2>", table_html(self._header, self._settings)]
        figures = history_figures([(run.name, run.history) for run in self.runs], self._columns)
        if figures:
            drawn = (
                f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>"
                for title, svg in figures
            )
            parts += ["<h2>Training</h2>", side_by_side(drawn)]
        return "".join(parts)

    @property
    def _columns(self) -> tuple[tuple[str, str, bool], ...]:
        primary = next(iter(self.runs[0].values["metrics"]), "")
        return (
            ("train_loss", "Training loss", False),
            ("val_loss", "Validation loss", False),
            (f"val_{primary}", f"Validation {primary.replace('_', ' ')}", True),
        )

    @property
    def _header(self) -> list[str]:
        return ["", *(run.name for run in self.runs)]

    @property
    def _settings(self) -> list[list[str]]:
        return [[key, *(_word(run.recipe.get(key)) for run in self.runs)] for key in self.differing]

    @property
    def _metrics(self) -> list[list[str]]:
        names = list(dict.fromkeys(n for run in self.runs for n in run.values["metrics"]))
        return [
            ["pictures", *(str(run.values["samples"]) for run in self.runs)],
            *(
                [name, *(_metric(run.values["metrics"].get(name)) for run in self.runs)]
                for name in names
            ),
        ]

    def _sentences(self) -> list[str]:
        return [test.sentence for test in self.tests]


def compare(
    runs: Sequence[Path | Results | ComparedRun], places: Mapping[Path, str] = MappingProxyType({})
) -> Comparison:
    """Read runs and test each against the first, paired by picture.

    Args:
        runs: Run directories, folders written by `evaluate`, evaluations, or runs already read; the
            first is the baseline.
        places: Run directory → location to show, if the directory is a copy.

    Raises:
        UsageError: If there are fewer than two runs, or their tasks differ.
        DataError: If a run has no readable metrics.json or predictions.csv.
    """
    if len(runs) < 2:
        raise UsageError(
            f"Expected at least two runs to compare. Received: {len(runs)}.",
            hint="foveal compare RUN RUN",
        )
    last = [run.manifest.name if isinstance(run, Results) else run.name for run in runs]
    names = [
        name
        if last.count(name) == 1
        else places.get(run, str(run))
        if isinstance(run, Path)
        else f"{name} {i}"
        for i, (run, name) in enumerate(zip(runs, last, strict=True), 1)
    ]
    read = [
        run
        if isinstance(run, ComparedRun)
        else _read(run, name)
        if isinstance(run, Path)
        else _known(run, name)
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
    return Comparison(
        tuple(read), differing, paired_tests([(run.name, run.correct) for run in read])
    )


def _known(evaluation: Results, name: str) -> ComparedRun:
    answers = zip(evaluation.measured.samples, evaluation.correct, strict=True)
    correct = {sample.id: bool(right) for sample, right in answers}
    return ComparedRun(name, Path(evaluation.location), evaluation.to_json(), {}, correct)


def _read(path: Path, name: str) -> ComparedRun:
    file = path / "metrics.json"
    if not path.exists():
        raise DataError(f"There is no run at {path}.", hint=_HINT)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        values["task"], values["samples"], values["metrics"].items()
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.", hint=_HINT) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{file} was not written by foveal.", hint=_HINT) from error
    recipe: dict[str, Any] = {}
    if (path / "recipe.yaml").is_file():
        try:
            loaded = yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise DataError(f"Cannot read {path / 'recipe.yaml'}: {error}") from error
        recipe = flatten(loaded) if isinstance(loaded, dict) else {}
    correct = read_correct(path / "predictions.csv")
    return ComparedRun(name, path, values, recipe, correct, read_history(path / "results.csv"))


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a recipe as dotted key → value, without the reasons."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if not prefix and key in _IGNORED:
            continue
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _word(value: Any) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _metric(metric: JsonObject | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    text = f"{100 * metric['value']:.2f} %"
    if metric["low"] is None:
        return text
    return f"{text} ({100 * metric['low']:.1f} to {100 * metric['high']:.1f})"
