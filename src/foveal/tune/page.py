"""The report of a study: its verdict, history and importances, for light and dark screens."""

from __future__ import annotations

import math
from html import escape

from foveal.render.charts import Axis, Series, bar_chart, curve_chart
from foveal.render.markup import page_html, side_by_side, table_html
from foveal.tune.budget import words
from foveal.tune.result import Tuning, summary
from foveal.tune.spacefile import described
from foveal.tune.table import Row
from foveal.words import percent

_LISTED = 12


def page(tuning: Tuning) -> str:
    """Return the report as one HTML document that needs nothing else."""
    return page_html(f"Tuning: {tuning.study.name}", body(tuning))


def body(tuning: Tuning) -> str:
    """Return the report without its heading, for a notebook."""
    metric = tuning.metric.replace("_", " ")
    took = words(tuning.seconds)
    of = "" if tuning.budget_s is None else f" of {words(tuning.budget_s)}"
    charts = [_figure(f"{metric} on validation, trial by trial", _history(tuning))]
    if tuning.importances:
        charts.append(_figure("Importance of each setting", _importances(tuning)))
    parts = [
        f"<p><strong>{escape(_capital(tuning.sentence))}.</strong></p>",
        f"<p>{escape(summary(tuning.trials))}; {escape(took + of)}.</p>",
        _comparison(tuning),
        side_by_side(charts),
    ]
    ended = sum(row.state == "trained" for row in tuning.trials)
    note = (
        f"Each setting alone, over the {ended} trials that were trained to their end."
        if tuning.importances
        else "Too few trials were trained to their end to say what the differences go with."
    )
    parts.append(f"<p>{note}</p>")
    parts += [_changes(tuning), _trials(tuning)]
    return "".join(parts)


def _comparison(tuning: Tuning) -> str:
    verdict = tuning.verdict
    if not verdict.best:
        return ""
    names = ("default", f"trial {verdict.trial}")
    rows = [
        [_kept(name), *map(_share, values), _share(sum(values) / len(values))]
        for name, values in zip(names, (verdict.default, verdict.best), strict=True)
    ]
    seeds = [f"seed {i + 1}" for i in range(len(verdict.best))]
    note = (
        f"Each pair of trainings has one seed; {verdict.pictures} pictures of validation, the "
        "same that the trials were compared on. The interval is for other seeds and other "
        "pictures."
    )
    return f"<h2>Comparison</h2>{table_html(['recipe', *seeds, 'mean'], rows)}<p>{note}</p>"


def _history(tuning: Tuning) -> str:
    known = [row for row in tuning.trials if row.value is not None]
    if not known:
        return "<p>No trial has finished yet.</p>"
    trained = [(float(r.number), float(r.value or 0)) for r in known if r.state == "trained"]
    others = [(float(r.number), float(r.value or 0)) for r in known if r.state != "trained"]
    best: list[tuple[float, float]] = []
    for number, value in trained:
        best.append((number, max(value, best[-1][1] if best else -math.inf)))
    last = float(tuning.trials[-1].number)
    if best:
        best.append((last, best[-1][1]))
    values = [value for _, value in (*trained, *others)]
    margin = max(0.01, 0.08 * (max(values) - min(values)))
    low, high = max(0.0, min(values) - margin), min(1.0, max(values) + margin)
    series = [
        Series("best so far", best),
        Series("given up or unfinished", others, style="marks"),
        Series("trained to the end", trained, style="marks"),
    ]
    if default := next((v for number, v in trained if number == 0), None):
        series.append(Series("default", [(0.0, default), (last, default)], style="guide"))
    return curve_chart(
        series,
        Axis("trial", 0.0, max(1.0, last), percent=False, whole=True),
        Axis(tuning.metric.replace("_", " "), low, high),
        width=620,
        height=340,
    )


def _importances(tuning: Tuning) -> str:
    ordered = sorted(tuning.importances.items(), key=lambda item: -item[1])
    return bar_chart([(key, share, percent(share, 0)) for key, share in ordered], high=1.0)


def _changes(tuning: Tuning) -> str:
    changes = tuning.changes()
    if tuning.best is None or not changes:
        return ""
    table = table_html(["setting", "default", f"trial {tuning.best.number}"], changes)
    return f"<h2>Settings of the best recipe that differ from the default</h2>{table}"


def _trials(tuning: Tuning) -> str:
    ordered = sorted(tuning.trials, key=_order)
    header = ["trial", tuning.metric.replace("_", " "), "", "epochs", "time", "settings"]
    rows = [_cells(tuning, row) for row in ordered[:_LISTED]]
    more = len(ordered) - len(rows)
    note = f"<p>{more} more in trials.csv.</p>" if more > 0 else ""
    return f"<h2>The best trials</h2>{table_html(header, rows)}{note}"


def _cells(tuning: Tuning, row: Row) -> list[str]:
    plain = tuning.space.default
    tried = ", ".join(
        _kept(f"{key} {described(value)}")
        for key, value in row.values.items()
        if plain.get(key) != value
    )
    return [
        str(row.number),
        _share(row.value),
        row.state + (f" ({row.note})" if row.note else ""),
        _kept(f"{row.epoch} of {row.epochs}"),
        _kept(words(row.seconds)),
        "the default recipe" if row.is_default else tried,
    ]


def _order(row: Row) -> tuple[bool, float]:
    return row.state != "trained", -(row.value or 0.0)


def _kept(text: str) -> str:
    """Return a text that no narrow page breaks into lines."""
    return text.replace(" ", "\u00a0")


def _share(value: float | None) -> str:
    return _kept(percent(value, 2))


def _figure(title: str, chart: str) -> str:
    return f"<figure><figcaption>{escape(_capital(title))}</figcaption>{chart}</figure>"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
