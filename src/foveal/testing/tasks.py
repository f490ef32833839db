"""Contract tests of tasks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch

from foveal.errors import FovealError, RecipeError, TargetError
from foveal.export.onnx import export_onnx
from foveal.export.prove import ProofBatch, prove
from foveal.extras import import_extra
from foveal.models.torch_engine import TorchEngine
from foveal.predict.engine import OnnxEngine
from foveal.recipe import TrainOptions
from foveal.tasks import get_task, get_training
from foveal.testing.answers import UntrainedAnswers, answer
from foveal.testing.expect import expect
from foveal.types import Calibration, Labels, RawTarget
from foveal.workflow.resolve import pipeline_of

# Targets that are class names to one task and texts to another.
_RAWS: tuple[RawTarget, ...] = (("ab",), ("b",), ("ba",), ("ab",), ("aab",), ("b",))
_NO_TORCH = """
import sys
for name in ("torch", "torchvision", "timm", "onnx"):
    sys.modules[name] = None
from foveal.tasks import get_task
get_task(sys.argv[1])
"""


def check_task(
    name: str,
    *,
    raws: Sequence[RawTarget] = _RAWS,
    backbones: Sequence[str] = ("fovea",),
    options: Mapping[str, Any] | None = None,
) -> None:
    """Check the declarations, answers, metrics, calibration, losses and export of a task.

    Args:
        name: Name of the task.
        raws: Six raw targets of the kind that it accepts, one of them twice.
        backbones: Backbones with which its network is exported and verified.
        options: Options of the task beside those that it chooses.

    Raises:
        AssertionError: If the contract is violated; the message says how.
    """
    _check_import(name)
    _check_itself(name, raws)
    answers = answer(name, raws, None, options)
    _check_outputs(answers)
    _check_predictions(answers)
    _check_schema(answers)
    _check_metrics(answers)
    _check_calibration(answers)
    _check_support(answers)
    _check_report(answers)
    _check_training(answers)
    for backbone in backbones:
        _check_export(answer(name, raws, backbone, options))


def _check_import(name: str) -> None:
    command = [sys.executable, "-c", _NO_TORCH, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    expect(done.returncode == 0, f"the half that predicts needs no torch: {done.stderr}")


def _raises(kind: type[FovealError], function: Any, *arguments: Any) -> bool:
    try:
        function(*arguments)
    except kind:
        return True
    return False


def _check_itself(name: str, raws: Sequence[RawTarget]) -> None:
    kind = get_task(name)
    expect(kind.name == name, f"a task is registered under its own name, not {kind.name!r}")
    expect(is_dataclass(kind.options_type), "its options are a dataclass")
    expect(kind.primary_metric.isidentifier(), "its primary metric is a name")
    labels = kind.fit_labels(raws)
    expect(labels == kind.fit_labels(raws[::-1]), "labels do not depend on the order of samples")
    chosen, reasons = kind.choose_options(raws)
    known = {field.name for field in fields(kind.options_type)}
    expect(set(chosen) <= known, f"chosen options are among {known}")
    expect({key.removeprefix("task_options.") for key in reasons} <= set(chosen), "reasons fit")
    expect(all(reasons.values()), "every choice has a reason")
    task = kind.bind(labels, chosen)
    options = {key: getattr(task.options, key) for key in known}
    again = kind.bind(Labels(labels.names), json.loads(json.dumps(options)))
    restored = {key: getattr(again.options, key) for key in known}
    expect(json.dumps(restored) == json.dumps(options), "options survive JSON")
    expect(again.output_specs() == task.output_specs(), "the same options give the same outputs")
    expect(_raises(RecipeError, kind.bind, labels, {"nonsense": 1}), "unknown options are refused")
    expect(_raises(TargetError, task.parse_target, ("never seen",)), "foreign targets are refused")


def _check_outputs(answers: UntrainedAnswers) -> None:
    recipe, task = answers.recipe, answers.task
    train = recipe.train
    chosen = train.epochs and train.batch_size and train.lr and train.strategy != "auto"
    expect(chosen and recipe.model.backbone != "auto", "the recipe is resolved")
    expect(all(recipe.reasons.values()), "every choice has a reason")
    specs = {spec.name: spec for spec in task.output_specs()}
    expect(set(answers.outputs) == set(specs), f"the network gives {set(specs)}")
    expect(set(task.core_outputs) <= set(specs), "core outputs are outputs")
    for key, value in answers.outputs.items():
        expected = (len(answers.frames), *specs[key].shape[1:])
        fits = len(expected) == value.ndim and all(
            size in (None, found) for size, found in zip(expected, value.shape, strict=True)
        )
        expect(fits and value.dtype == specs[key].dtype, f"{key} is {specs[key]}")
    core = {key: answers.outputs[key] for key in task.core_outputs}
    decoded = task.decode(core, answers.frames, Calibration())
    for first, second in zip(decoded, answers.predictions, strict=True):
        expect(task.agreement(first, second) == (1, 0), "core outputs are enough to decode")


def _check_predictions(answers: UntrainedAnswers) -> None:
    task, predictions = answers.task, answers.predictions
    for picture, prediction in zip(answers.pictures, predictions, strict=True):
        record = prediction.to_json()
        expect(json.loads(json.dumps(record, allow_nan=False)) == record, "an answer is JSON")
        expect(record["unsure"] is prediction.unsure, "its JSON says whether it is unsure")
        expect(0 <= prediction.confidence <= 1, "a confidence is in [0, 1]")
        expect(len(prediction.headline.splitlines()) == 1, "a headline is one line")
        drawn = prediction.draw(picture)
        is_rgb = drawn.dtype == np.uint8 and drawn.shape[2:] == (3,)
        expect(is_rgb, "an answer is drawn as (H, W, 3) uint8")
    never = task.decode(answers.outputs, answers.frames, Calibration(unsure_below=1.0))
    unsure = all(p.unsure and "unsure" in p.headline for p in never)
    expect(unsure, "a confidence under the limit is unsure, and the headline says so")
    first, second = predictions[:2]
    expect(task.agreement(first, first) == (1, 0), "an answer agrees with itself")
    same, difference = task.agreement(first, second)
    expect(0 <= same <= 1 and difference >= 0, "agreement is a share and a distance")


def _check_schema(answers: UntrainedAnswers) -> None:
    jsonschema = import_extra("jsonschema", "dev", "Checking a schema needs jsonschema")
    schema = {**answers.task.json_schema(), "additionalProperties": False}
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for prediction in answers.predictions:
        record = prediction.to_json()
        validator.validate(record)
        wrong = ({**record, "other": 1}, {**record, "confidence": "high"}, {"unsure": False})
        expect(not any(map(validator.is_valid, wrong)), "nothing else is what the schema says")


def _check_metrics(answers: UntrainedAnswers) -> None:
    task, rows = answers.task, answers.rows()
    expect(rows.dtype == np.float64 and rows.ndim == 2, "a row is float64 numbers")
    metrics = task.summarise(rows)
    expect(task.primary_metric in metrics, f"{task.primary_metric} is among the metrics")
    expect(all(isinstance(value, float) for value in metrics.values()), "metrics are floats")
    for key in metrics:
        words = task.metric_words[key]
        said = words.title and words.meaning and not words.meaning.endswith(".")
        expect(said, f"{key} is put into words")
    turned = task.summarise(rows[::-1])
    # In any order of the rows.
    np.testing.assert_allclose([turned[key] for key in metrics], list(metrics.values()), rtol=1e-6)
    correct = task.is_correct(rows)
    expect(correct.dtype == np.bool_ and correct.shape == (len(rows),), "a row is right or wrong")
    expect(np.isnan(task.summarise(rows[:0])[task.primary_metric]), "of nothing a metric is NaN")
    constant = task.baseline(answers.raws, rows)
    expect(constant.rows.shape == rows.shape, "the baseline has a row for each sample")
    same = task.baseline(answers.raws[::-1], rows[::-1]).rows[::-1]
    gained = [task.summarise(part)[task.primary_metric] for part in (constant.rows, same)]
    expect(gained[0] == gained[1], "the baseline does not depend on the order of the samples")


def _check_calibration(answers: UntrainedAnswers) -> None:
    task = answers.task
    batches = [
        ({key: value[part] for key, value in answers.outputs.items()}, answers.frames[part])
        for part in (slice(0, 4), slice(4, None))
    ]
    calibration = task.fit_calibration(batches, answers.targets)
    expect(calibration.temperature > 0, "a temperature is positive")
    whole = task.fit_calibration([(answers.outputs, answers.frames)], answers.targets)
    expect(whole == calibration, "calibration does not depend on the batches")
    count = len(task.decode(answers.outputs, answers.frames, calibration))
    expect(count == len(answers.frames), "each picture has its answer")


def _check_support(answers: UntrainedAnswers) -> None:
    prediction, original = answers.predictions[0], answers.frames[0].original
    for label in answers.task.labels.names:
        expect(0 <= prediction.support(label) <= 1, "support is in [0, 1]")
        heat = prediction.heat(label)
        fits = heat.shape == original and heat.dtype == np.float32 and heat.min() >= 0
        expect(fits and heat.max() <= 1 + 1e-6, "heat is float32 in [0, 1] over the original")
    for function in (prediction.support, prediction.heat):
        expect(_raises(TargetError, function, "?"), "a foreign label is refused")


def _check_report(answers: UntrainedAnswers) -> None:
    task = answers.task
    kept = [prediction.without_maps() for prediction in answers.predictions]
    for light, whole in zip(kept, answers.predictions, strict=True):
        is_same = light.to_json() == whole.to_json() and light.mask is None
        said = [(p.text, p.headline, dict(p.scores)) for p in (light, whole)]
        expect(is_same and said[0] == said[1], "an answer says the same without its maps")
    details = task.analyse(kept, answers.raws, answers.rows())
    sections = task.report_sections(json.loads(json.dumps(details, allow_nan=False)))
    expect(sections, "the report has a section")
    for section in sections:
        expect(section.title, "a section has a title")
        lengths = [(len(row), len(head)) for head, rows in section.tables for row in rows]
        expect(all(row == head for row, head in lengths), "rows are as long as their head")
        for text, svg in section.figures:
            expect(text and svg.lstrip().startswith("<"), "a figure is SVG, with a text")


def _check_training(answers: UntrainedAnswers) -> None:
    task, count = answers.task, len(answers.targets)
    training = get_training(task.name)(task)
    tensors = training.collate(answers.targets)
    expect(tensors and all(len(t) == count for t in tensors.values()), "targets go by samples")
    counts = training.class_counts(tensors)
    expect(counts.shape == (len(task.labels),), "each label is counted")
    mean = training.sample_weights(tensors).mean()
    expect(torch.isclose(mean, torch.ones(())), f"samples weigh 1 on average, not {mean}")
    outputs = {k: torch.from_numpy(v).requires_grad_() for k, v in answers.outputs.items()}
    losses = training.losses(outputs, tensors, TrainOptions(), None)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    expect(all(torch.isfinite(v.detach()).all() for v in losses.values()), "losses are finite")
    gradients = [value.grad for value in outputs.values() if value.grad is not None]
    expect(any(gradient.any() for gradient in gradients), "the loss reaches an output")
    none = training.collate([]).values()
    expect(all(len(tensor) == 0 for tensor in none), "there may be no targets")


def _check_export(answers: UntrainedAnswers) -> None:
    task = answers.task
    shipped = OnnxEngine(export_onnx(answers.network, task, pipeline_of(answers.recipe)), threads=1)
    batch = ProofBatch([str(raw) for raw in answers.raws], answers.inputs, answers.frames)
    parity = prove(task, [batch], trained=TorchEngine(answers.network), shipped=shipped)
    expect(parity["label_agreement"] == 1, "the export gives the same answers")
    expect(parity["max_probability_difference"] < 1e-4, "the export is as sure of them")
