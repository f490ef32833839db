"""The model card, `README.md` of a bundle: description, metrics, training and limits."""

from __future__ import annotations

from foveal.bundle.manifest import Manifest
from foveal.bundle.promise import baseline_words, folds_words, promise
from foveal.pipeline import Pipeline
from foveal.tasks import get_task
from foveal.types import UNFAMILIARITY
from foveal.words import percent, percent_range

# What the keys of a bundle's `data` are called in sentences.
_DATA_WORDS = {
    "fingerprint": "Data fingerprint",
    "layout": "Layout",
    "samples": "Pictures",
    "train": "Trained on",
    "val": "Validated on",
    "folds": "Folds of the cross-validation",
    "unreadable": "Unreadable, left out",
}
# A bundle may have a thousand labels; a card is read by people.
_LABELS_SHOWN = 60


def model_card(manifest: Manifest) -> str:
    """Return the card as Markdown."""
    pipeline = manifest.pipeline
    is_text = get_task(manifest.task).target_kind == "text"
    what = "characters" if is_text else "labels"
    size = (
        f"{pipeline.height} px height, at most {pipeline.width} px wide"
        if pipeline.is_ragged
        else f"{pipeline.height} x {pipeline.width} px ({pipeline.fit})"
    )
    return "\n".join(
        [
            f"# {manifest.name}",
            "",
            f"A `{manifest.task}` model with {len(manifest.labels)} {what}, made with foveal "
            f"{manifest.foveal_version} on {manifest.created[:10]}.",
            "",
            "```",
            f"foveal predict {manifest.name} picture.jpg",
            f"foveal serve {manifest.name}",
            "```",
            "",
            "## Metrics",
            "",
            *_metrics(manifest),
            "",
            *_certainty(manifest),
            "",
            "## Input and output",
            "",
            f"Pictures are brought to {size}; any JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF. "
            f"{what.capitalize()}: {_labels(manifest.labels)}.",
            *filter(None, [requirement(pipeline)]),
            "",
            "## Training",
            "",
            f"- Backbone: `{manifest.backbone}`",
            *(f"- {_DATA_WORDS.get(key, key)}: {value}" for key, value in manifest.data.items()),
            *(
                f"- Weights of `{entry.get('weights')}`: {entry.get('licence')}, "
                f"{entry.get('origin')}"
                for entry in manifest.licences
            ),
            *_quantised(manifest),
            "",
            "## Limits",
            "",
            "Measured on pictures like those it was trained on. "
            + _unfamiliar(manifest)
            + f"Every answer is made of the {what} above, whatever the picture shows.",
            "",
        ]
    )


def _quantised(manifest: Manifest) -> list[str]:
    """Return the card of a network of reduced precision, with its comparison to the original."""
    parity = manifest.parity
    if parity.get("precision") is None:
        return []
    return [
        f"- Network in {parity['precision']}, made from version {parity['compared_with']}: "
        f"{percent(parity['label_agreement'])} of {parity['samples']} validation pictures are "
        "answered alike"
    ]


def requirement(pipeline: Pipeline) -> str | None:
    """Return what a bundle needs beyond the base install; None for most."""
    if not pipeline.steps:
        return None
    return (
        "It reads pages, which are cleaned with OpenCV. Where it runs, "
        "`pip install 'foveal[page]'` is needed."
    )


def _metrics(manifest: Manifest) -> list[str]:
    words = get_task(manifest.task).metric_words
    baseline = manifest.baseline.get("metrics", {})
    where = "validation" if manifest.folds is None else "cross-validation"
    rows = [
        f"| metric ({where}) | value | 95 % interval | baseline | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, metric in manifest.metrics.items():
        value, low, high = (metric.get(key) for key in ("value", "low", "high"))
        if value is None:
            continue
        interval = percent_range(low, high)
        beside = percent(baseline.get(name))
        rows.append(
            f"| {name} | {percent(value)} | {interval} | {beside} | {words[name].meaning} |"
        )
    if manifest.folds is not None:
        rows += ["", folds_words(manifest.folds, manifest.data.get("train", 0))]
    if baseline:
        rows += ["", baseline_words(manifest.baseline)]
    return rows


def _unfamiliar(manifest: Manifest) -> str:
    if all(spec.name != UNFAMILIARITY for spec in manifest.outputs):
        return "On others it may be wrong and sure. "
    return (
        "Answers to pictures that look unlike those are marked `unsure`, with the reason "
        "`unfamiliar`; not every such picture is recognised, and there it may be wrong and sure. "
    )


def _certainty(manifest: Manifest) -> list[str]:
    calibration = manifest.calibration
    lines: list[str] = []
    words = promise(calibration, get_task(manifest.task), folds=manifest.folds)
    if calibration.not_usable is not None:
        lines.append(f"**{words}**")
    elif words:
        limit = f"Answers with a confidence under {calibration.unsure_below:.3f} are marked "
        lines.append(f"{limit}`unsure`. {words}")
    parity = manifest.parity
    if parity:
        lines.append(
            f"The network in this bundle was compared with the trained one on "
            f"{parity.get('samples')} pictures: labels agree on all of them, probabilities "
            f"differ by at most {parity.get('max_probability_difference', 0.0):.1e}."
        )
    for name, engine in parity.get("engines", {}).items():
        proof = engine["proof"]
        lines.append(
            f"It is also calibrated for the engine `{name}`, which answers "
            f"{percent(proof['label_agreement'])} of {proof['samples']} validation pictures alike."
        )
    return lines


def _labels(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:_LABELS_SHOWN])
    more = len(labels) - _LABELS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
