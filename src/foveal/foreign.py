"""Suggestions for users of other libraries."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from foveal.errors import UsageError, nearest

P = ParamSpec("P")
R = TypeVar("R")

_LOAD = 'foveal.load("runs/classify/photos") opens a trained model'
_TRAIN = 'foveal.train("photos", epochs=5) trains a model and returns it'
_NETWORK = f'{_TRAIN}; backbone="fovea" chooses the network'
_FURTHER = f"foveal.extend(model.run, epochs=5) trains it for longer; {_TRAIN}"
_DATA = 'foveal.train("photos") reads the folder itself; foveal.check("photos") reports on it'
_MEASURE = 'model.evaluate("held-out") measures it: .metrics, .confusion, .mistakes, .plot()'
_RUNS = "the network runs in ONNX Runtime on the CPU; there is nothing to move or switch"
_PREDICT = 'model("cat.jpg") predicts one picture, model.predict("photos/") a folder'
_LR = 'foveal.find_lr("photos").suggested is a learning rate; foveal.train(..., lr=0.001) sets it'
_BOXES = (
    "foveal predicts classes, texts and masks, not boxes: answer.label, answer.text, answer.mask"
)


def _by_name(*rows: tuple[str, str]) -> Mapping[str, str]:
    """Return name → what to type, from rows of several names and one advice."""
    return {name: advice for names, advice in rows for name in names.split()}


_OVERRIDES = 'every other key of the recipe: overrides=["train.ema=0.99"]'

ADVICE: Mapping[str, Mapping[str, str]] = {
    "module": _by_name(
        ("YOLO load_learner load_model open", f"{_LOAD}; {_TRAIN}"),
        ("ImageDataLoaders DataBlock ImageBlock ImageFolder Dataset DataLoader", _DATA),
        ("image_dataset_from_directory ImageDataGenerator load_data untar_data", _DATA),
        ("Learner vision_learner cnn_learner unet_learner Sequential", _NETWORK),
        ("fit fine_tune Trainer keras applications resnet18 resnet50", _NETWORK),
        ("val validate test score", 'foveal.evaluate(model, "held-out")'),
        ("FovealClassifier", "from foveal.sklearn import FovealClassifier"),
    ),
    "model": _by_name(
        ("train fit fit_one_cycle fine_tune partial_fit tune unfreeze", _FURTHER),
        ("freeze compile", f'{_TRAIN}; strategy="frozen" trains the head only'),
        ("lr_find recorder", f"{_LR}; model.history() has the curves"),
        ("score validate test show_results get_preds plot_confusion_matrix", _MEASURE),
        ("summary modules parameters get_config", "model.info(); model.layers() lists the layers"),
        ("to cuda cpu eval half fuse device", _RUNS),
        ("dls data show_batch train_ds", _DATA),
        ("classes classes_ vocab class_names", "model.labels"),
        ("track boxes", _BOXES),
        ("predict_classes decision_function transform", _PREDICT),
        ("load load_weights load_state_dict state_dict", _LOAD),
        ("predict_log_proba", "numpy.log(model.predict_proba(pictures))"),
        ("save_weights", 'model.save("photos.foveal")'),
        ("plot", "from foveal import notebook; notebook.curves(model)"),
    ),
    "answer": _by_name(
        ("boxes keypoints obb", _BOXES),
        ("label labels", "answer.text"),
        ("probabilities evidence", "answer.confidence, answer.text"),
        ("top1 argmax cls item class_name", "answer.label, answer.probs.top1"),
        ("conf score", "answer.confidence"),
        ("orig_img image", "answer.picture.pixels"),
        ("to_df to_pandas pandas", "model([picture]).to_pandas()"),
        ("masks", "answer.mask"),
        ("names", "model.names"),
        ("path", "answer.source"),
        ("speed", 'answer.record["ms"]'),
        ("tojson", "answer.to_json()"),
    ),
    "answers": _by_name(
        ("label labels", "[answer.label for answer in answers]"),
        ("text texts", "[answer.text for answer in answers]"),
        ("confidence conf", "[answer.confidence for answer in answers]"),
        ("argmax shape", "answers.probs.argmax(axis=1)"),
        ("to_df pandas", "answers.to_pandas()"),
        ("to_json tojson", "answers.records"),
        ("show", "answers.plot(), or answers[0].show()"),
    ),
    "evaluation": _by_name(
        ("accuracy top1 results_dict box", 'evaluation.metrics["accuracy"]'),
        ("confusion_matrix plot_confusion_matrix", "evaluation.confusion, evaluation.plot()"),
        ("plot_top_losses top_losses", "evaluation.mistakes, evaluation.show()"),
        ("history", "model.history()"),
    ),
}
"""Place → a foreign name → what to type."""

ARGUMENTS = _by_name(
    ("imgsz img_size size target_size input_shape item_tfms", "image_size"),
    ("batch bs", "batch_size"),
    ("learning_rate lr0 base_lr", "lr"),
    ("model arch weights architecture", "backbone"),
    ("n_epochs num_epochs max_iter", "epochs"),
    ("project save_dir save", "out"),
    ("filename file fname", "path out"),
    ("random_state random_seed", "seed"),
    ("directory path dataset dls train_data", "data model"),
    ("source img image images X x inputs", "pictures"),
    ("time", "budget_s"),
    ("format", "to"),
    ("title", "name"),
)
"""A foreign argument → its names here; a function has one of them."""


def missing_attribute(place: str, what: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for an attribute that is not there, with what to type instead.

    Args:
        place: Key of `ADVICE`.
        what: What was asked, for people, such as `model`.
        name: The attribute.
        known: The attributes that are there.
    """
    return AttributeError(advise(place, what, name, known), name=name)


def advise(place: str, what: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence of `missing_attribute`."""
    if name in ADVICE[place]:
        return f"A foveal {what} has no {name!r}. Type: {ADVICE[place][name]}"
    near = nearest(name, (other for other in known if not other.startswith("_")))
    return f"A foveal {what} has no {name!r}." + (f" Did you mean {near!r}?" if near else "")


def spelled(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function answer an unknown argument with the name that it has here."""
    known = inspect.signature(function).parameters

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                hint = _OVERRIDES if "overrides" in known else None
                raise UsageError(_unknown_argument(function.__name__, name, known), hint=hint)
        return function(*args, **kwargs)

    return checked


def _unknown_argument(function: str, name: str, known: Iterable[str]) -> str:
    names = [other for other in known if other != "self"]
    own = [other for other in ARGUMENTS.get(name, "").split() if other in names]
    near = own[0] if own else nearest(name, names)
    shown = f" Type {near}=…" if near else f" It has: {', '.join(names)}."
    return f"{function}() has no argument {name!r}.{shown}"
