"""What every task promises, checked over the folders of `foveal.tasks` with no special case."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from drawing import draw_shape
from jsonschema import Draft202012Validator

from foveal import tasks
from foveal.errors import RecipeError, TargetError, UsageError
from foveal.export.onnx import export_onnx
from foveal.export.prove import ProofBatch, prove
from foveal.models.backbones import BACKBONES
from foveal.models.network import Network, build_network
from foveal.models.torch_engine import TorchEngine
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.recipe import ModelOptions, PipelineOptions, Recipe, TrainOptions
from foveal.tasks import get_task, get_training
from foveal.tasks.base import Task
from foveal.tasks.facts import DataFacts
from foveal.types import Calibration, Frame, Labels, Outputs, Picture, RawTarget
from foveal.workflow.choose import resolve
from foveal.workflow.prepare import pipeline_of

TASKS = list(tasks.TASKS)
COUNT = 6
# Targets that are class names to one task and texts to another.
RAWS: tuple[RawTarget, ...] = (("ab",), ("b",), ("ba",), ("ab",), ("aab",), ("b",))
FACTS = DataFacts(
    samples=COUNT,
    median_side=48,
    median_height=32,
    widest=1.5,
    pad_color=(200, 210, 220),
    ink_share=0.5,
    single_characters=False,
    longest_target=3,
)
# Deep backbones whose exports for one task are run in test_backbones.py: for a free width they
# would take a minute each.
EXPORTED = [name for name in BACKBONES if not name.startswith("efficientnet")]


@dataclass(frozen=True)
class Answers:
    """What the task's own untrained network says of some drawn pictures."""

    task: Task
    pictures: Sequence[Picture]
    targets: Sequence[Any]
    outputs: Outputs
    frames: Sequence[Frame]
    predictions: Sequence[Any]


def pictures() -> list[Picture]:
    rng = np.random.default_rng(0)
    shapes = ("circle", "square") * (COUNT // 2)
    drawn = (np.asarray(draw_shape(shape, rng, 48)) for shape in shapes)
    return [Picture.from_array(np.ascontiguousarray(pixels[:32])) for pixels in drawn]


def bind(name: str) -> Task:
    task = get_task(name)
    return task.bind(task.fit_labels(RAWS), task.choose_options(RAWS)[0])


def recipe_of(name: str) -> Recipe:
    recipe = Recipe(task=name, pipeline=PipelineOptions(image_size=32))
    return resolve(recipe, FACTS, get_training(name), pretrained_at_hand=False)


def network_of(name: str, backbone: str) -> Network:
    torch.manual_seed(0)
    options = ModelOptions(backbone=backbone, dropout=0.0)
    network = build_network(get_training(name)(bind(name)), options, pretrained=False)
    for parameter in network.head.parameters():
        # A head that begins with zeros would say the same of every picture.
        if not parameter.any():
            torch.nn.init.normal_(parameter)
    return network.eval()


def fit(pipeline: Pipeline, picture: Picture) -> tuple[np.ndarray, Frame]:
    """Return one input of the network: of a tiled picture, its first tile."""
    if pipeline.is_tiled:
        tile = picture.read(0, 0, pipeline.height, pipeline.width)
        return tile, pipeline.frame(*tile.shape[:2])
    return pipeline.apply(picture)


def target_of(task: Task, raw: RawTarget, frame: Frame) -> Any:
    if task.target_kind != "mask":
        return task.parse_target(raw)
    rows, columns = np.indices(frame.original)
    return task.parse_target(raw, ((rows // 8 + columns // 16) % len(raw)).astype(np.uint8))


@cache
def answers_of(name: str) -> Answers:
    task, recipe = bind(name), recipe_of(name)
    fitted = [fit(pipeline_of(recipe), picture) for picture in pictures()]
    inputs, frames = np.stack([pixels for pixels, _ in fitted]), [frame for _, frame in fitted]
    outputs = TorchEngine(network_of(name, recipe.model.backbone)).run(inputs)
    predictions = task.decode(outputs, frames, Calibration())
    targets = [target_of(task, raw, frame) for raw, frame in zip(RAWS, frames, strict=True)]
    return Answers(task, pictures(), targets, outputs, frames, predictions)


@pytest.fixture(params=TASKS)
def answers(request: pytest.FixtureRequest) -> Answers:
    return answers_of(request.param)


def rows_of(answers: Answers) -> np.ndarray:
    pairs = zip(answers.predictions, answers.targets, strict=True)
    return np.stack([answers.task.measure(prediction, target) for prediction, target in pairs])


def test_there_are_tasks_and_an_unknown_one_names_the_nearest() -> None:
    assert {"classify", "read", "segment"} <= set(TASKS)
    with pytest.raises(UsageError, match="Did you mean 'read'"):
        get_task("raed")
    with pytest.raises(UsageError, match="Did you mean 'read'"):
        get_training("raed")


@pytest.mark.parametrize("name", TASKS)
def test_the_half_that_serves_imports_no_torch(name: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"import foveal.tasks as tasks; tasks.get_task({name!r})\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('torchvision', 'timm', 'onnx')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_what_it_is(name: str) -> None:
    task = get_task(name)
    assert task.name == name
    assert is_dataclass(task.options_type)
    assert task.primary_metric.isidentifier()


@pytest.mark.parametrize("name", TASKS)
def test_labels_do_not_depend_on_the_order_of_the_samples(name: str) -> None:
    task = get_task(name)
    assert task.fit_labels(RAWS) == task.fit_labels(RAWS[::-1])
    assert len(task.fit_labels(RAWS)) > 0


@pytest.mark.parametrize("name", TASKS)
def test_the_options_survive_json_and_bind_to_an_equal_task(name: str) -> None:
    task = bind(name)
    options = {f.name: getattr(task.options, f.name) for f in fields(task.options_type)}
    again = get_task(name).bind(Labels(task.labels.names), json.loads(json.dumps(options)))
    assert again.labels == task.labels
    assert json.loads(json.dumps(options)) == json.loads(
        json.dumps({f.name: getattr(again.options, f.name) for f in fields(task.options_type)})
    )
    assert again.output_specs() == task.output_specs()


@pytest.mark.parametrize("name", TASKS)
def test_chosen_options_are_given_with_their_reasons(name: str) -> None:
    options, reasons = get_task(name).choose_options(RAWS)
    assert set(options) <= {f.name for f in fields(get_task(name).options_type)}
    assert {key.removeprefix("task_options.") for key in reasons} <= set(options)
    assert all(reasons.values())


@pytest.mark.parametrize("name", TASKS)
def test_an_unknown_option_and_a_foreign_target_are_refused(name: str) -> None:
    task = bind(name)
    with pytest.raises(RecipeError, match=r"Unknown recipe key 'task_options\.nonsense'"):
        get_task(name).bind(task.labels, {"nonsense": 1})
    with pytest.raises(TargetError):
        task.parse_target(("never seen",))


@pytest.mark.parametrize("name", TASKS)
def test_a_recipe_is_resolved_to_something_that_can_be_trained(name: str) -> None:
    recipe = recipe_of(name)
    assert recipe.model.backbone != "auto"
    assert recipe.train.strategy != "auto"
    assert recipe.train.epochs and recipe.train.batch_size and recipe.train.lr
    assert pipeline_of(recipe).height == 32
    assert all(reason for reason in recipe.reasons.values())


def test_the_network_gives_what_the_task_says_it_gives(answers: Answers) -> None:
    specs = {spec.name: spec for spec in answers.task.output_specs()}
    assert set(answers.outputs) == set(specs)
    assert set(answers.task.core_outputs) <= set(specs)
    for name, value in answers.outputs.items():
        assert value.dtype == specs[name].dtype
        assert len(value) == COUNT
        expected = specs[name].shape
        assert len(expected) == value.ndim
        assert all(e in (None, found) for e, found in zip(expected, value.shape, strict=True))


def test_core_outputs_are_enough_to_decode(answers: Answers) -> None:
    core = {name: answers.outputs[name] for name in answers.task.core_outputs}
    decoded = answers.task.decode(core, answers.frames, Calibration())
    for first, second in zip(decoded, answers.predictions, strict=True):
        assert answers.task.agreement(first, second) == (True, 0.0)


def test_an_answer_is_json_with_a_confidence(answers: Answers) -> None:
    for prediction in answers.predictions:
        record = prediction.to_json()
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert isinstance(record["unsure"], bool)
        assert 0 <= prediction.confidence <= 1


def test_an_answer_is_what_the_schema_says_and_nothing_else_is(answers: Answers) -> None:
    schema = {**answers.task.json_schema(), "additionalProperties": False}
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for prediction in answers.predictions:
        record = prediction.to_json()
        validator.validate(record)
        assert not validator.is_valid({**record, "other": 1})
        assert not validator.is_valid({**record, "confidence": "high"})
        assert not validator.is_valid({key: v for key, v in record.items() if key != "unsure"})


def test_an_answer_is_a_few_words(answers: Answers) -> None:
    for prediction in answers.predictions:
        words = prediction.headline
        assert words and "\n" not in words


def test_confidence_falls_under_the_limit_into_unsure(answers: Answers) -> None:
    never = Calibration(unsure_below=1.0)
    again = answers.task.decode(answers.outputs, answers.frames, never)
    assert all(prediction.to_json()["unsure"] for prediction in again)
    assert all("unsure" in prediction.headline for prediction in again)


def test_metrics_come_from_rows_alone(answers: Answers) -> None:
    rows = rows_of(answers)
    assert rows.dtype == np.float64 and rows.ndim == 2 and len(rows) == COUNT
    metrics = answers.task.summarise(rows)
    assert answers.task.primary_metric in metrics
    assert all(isinstance(value, float) for value in metrics.values())
    assert answers.task.summarise(rows[::-1]) == pytest.approx(metrics, nan_ok=True)
    correct = answers.task.is_correct(rows)
    assert correct.dtype == np.bool_ and correct.shape == (COUNT,)


def test_every_metric_is_put_into_words(answers: Answers) -> None:
    words = answers.task.metric_words
    for name in answers.task.summarise(rows_of(answers)):
        assert words[name].title and words[name].meaning
        assert not words[name].meaning.endswith(".")


def test_metrics_of_nothing_are_no_crash(answers: Answers) -> None:
    metrics = answers.task.summarise(rows_of(answers)[:0])
    assert np.isnan(metrics[answers.task.primary_metric])


def test_calibration_takes_batches_and_survives_json(answers: Answers) -> None:
    batches = [
        ({name: value[part] for name, value in answers.outputs.items()}, answers.frames[part])
        for part in (slice(0, 4), slice(4, None))
    ]
    calibration = answers.task.fit_calibration(batches, answers.targets, 0.9)
    assert calibration.temperature > 0
    assert 0 <= calibration.unsure_below <= 1
    assert len(answers.task.decode(answers.outputs, answers.frames, calibration)) == COUNT
    whole = [(answers.outputs, answers.frames)]
    assert answers.task.fit_calibration(whole, answers.targets, 0.9) == calibration


def test_an_answer_agrees_with_itself_and_says_how_far_from_another(answers: Answers) -> None:
    first, second = answers.predictions[:2]
    assert answers.task.agreement(first, first) == (True, 0.0)
    same, difference = answers.task.agreement(first, second)
    assert 0 <= same <= 1
    assert difference >= 0


def test_an_answer_is_drawn_on_its_picture(answers: Answers) -> None:
    for picture, prediction in zip(answers.pictures, answers.predictions, strict=True):
        drawn = prediction.draw(picture)
        assert drawn.dtype == np.uint8 and drawn.ndim == 3 and drawn.shape[2] == 3


def test_every_label_has_support_and_a_map_over_the_original(answers: Answers) -> None:
    task, prediction = answers.task, answers.predictions[0]
    for label in task.labels.names:
        assert 0 <= prediction.support(label) <= 1
        heat = prediction.heat(label)
        assert heat.shape == answers.frames[0].original and heat.dtype == np.float32
        assert heat.min() >= 0 and heat.max() <= 1 + 1e-6
    with pytest.raises(TargetError):
        prediction.support("?")
    with pytest.raises(TargetError):
        prediction.heat("?")


def test_what_an_evaluation_keeps_says_the_same(answers: Answers) -> None:
    for prediction in answers.predictions:
        kept = prediction.without_maps()
        assert kept.mask is None
        assert kept.to_json() == prediction.to_json()
        assert (kept.text, kept.headline) == (prediction.text, prediction.headline)
        assert dict(kept.scores) == dict(prediction.scores)


def test_details_are_json_and_become_sections_of_the_report(answers: Answers) -> None:
    light = [prediction.without_maps() for prediction in answers.predictions]
    details = answers.task.analyse(light, RAWS, rows_of(answers))
    again = json.loads(json.dumps(details, allow_nan=False))
    sections = answers.task.report_sections(again)
    assert sections
    for section in sections:
        assert section.title
        assert all(len(row) == len(head) for head, rows in section.tables for row in rows)
        assert all(text and svg.lstrip().startswith("<") for text, svg in section.figures)


@pytest.mark.parametrize("name", TASKS)
def test_targets_are_tensors_by_sample_and_give_finite_losses(name: str) -> None:
    answers = answers_of(name)
    training = get_training(name)(answers.task)
    tensors = training.collate(answers.targets)
    assert tensors and all(len(tensor) == COUNT for tensor in tensors.values())
    assert training.class_counts(tensors).shape == (len(answers.task.labels),)
    assert training.sample_weights(tensors).mean() == pytest.approx(1.0)
    outputs = {n: torch.from_numpy(value).requires_grad_() for n, value in answers.outputs.items()}
    losses = training.losses(outputs, tensors, TrainOptions(), None)
    losses["loss"].backward()
    assert all(torch.isfinite(loss.detach()).all() for loss in losses.values())
    gradients = [value.grad for value in outputs.values() if value.grad is not None]
    assert any(gradient.any() for gradient in gradients)
    none = {n: t for n, t in training.collate([]).items()}
    assert all(len(tensor) == 0 for tensor in none.values())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", EXPORTED)
@pytest.mark.parametrize("name", TASKS)
def test_every_task_ships_on_every_backbone(name: str, backbone: str) -> None:
    task, pipeline = bind(name), pipeline_of(recipe_of(name))
    network = network_of(name, backbone)
    fitted = [fit(pipeline, picture) for picture in pictures()]
    inputs, frames = np.stack([pixels for pixels, _ in fitted]), [frame for _, frame in fitted]
    batch = ProofBatch([str(i) for i in range(COUNT)], inputs, frames)

    shipped = OnnxEngine(export_onnx(network, task, pipeline), threads=1)
    parity = prove(task, [batch], trained=TorchEngine(network), shipped=shipped)

    assert parity["label_agreement"] == 1.0
    assert parity["max_probability_difference"] < 1e-4
