"""A scikit-learn estimator, for pipelines, cross-validation and parameter searches."""

from __future__ import annotations

import csv
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveal.api.training import train
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.picture_file import reading
from foveal.errors import MissingExtraError, UsageError
from foveal.extras import install_extra
from foveal.model import Model
from foveal.predict.inputs import Given, file_bytes, read_one
from foveal.render import encode_png
from foveal.types import Picture

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import Tags, assert_all_finite
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d
except ImportError as error:
    raise MissingExtraError(
        "foveal.sklearn needs scikit-learn, which is not installed.",
        hint=install_extra("train,sklearn"),
    ) from error

_BUNDLE = "model.foveal"


@final
class FovealClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # it has no types
    """Image classifier with the interface of scikit-learn.

    `fit` trains like `foveal.train`: arguments that are None are chosen from the data, and some of
    the pictures are set aside for validation. A fitted estimator is pickled with its model.

    Args:
        quality: How thoroughly to train, where other arguments leave it open: `fast` (a first
            answer), `good`, or `best` (everything, for twice the epochs, on larger pictures); None
            takes `good`.
        epochs: Number of epochs for the whole network, or for the head if the backbone is frozen.
        batch_size: Number of pictures in a training step.
        image_size: Side of the model input, in pixels.
        backbone: As for `foveal.train`.
        lr: Peak learning rate.
        folds: Cross-validate in this many folds instead of setting pictures aside for validation,
            and train the model on all of them.
        patience: Stop early after this many epochs without improvement.
        budget_s: Time limit of the training in seconds.
        random_state: Random seed; None takes 0.
        device: Device to train on: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        devices: Number of processes that train together, each on its share of every batch.
        strategy: As for `foveal.train`.
        overrides: Settings of the recipe, each as `key.path=value`; any key is allowed.
        out: Folder for runs with their reports; None keeps only the model.
        verbose: Whether to show the choices and the progress.

    Attributes:
        classes_: (C,) sorted class labels.
        model_: The fitted `foveal.Model`; `model_.metrics` are its validation metrics.

    Example:
        >>> from foveal.sklearn import FovealClassifier
        >>> classifier = FovealClassifier(epochs=5)
        >>> cross_val_score(classifier, paths, labels, cv=3)  # doctest: +SKIP
        array([0.97, 0.96, 0.98])
    """

    def __init__(
        self,
        *,
        quality: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        image_size: int | None = None,
        backbone: str | None = None,
        lr: float | None = None,
        folds: int | None = None,
        patience: int | None = None,
        budget_s: float | None = None,
        random_state: int | None = None,
        device: str | None = None,
        devices: int | None = None,
        strategy: str | None = None,
        overrides: Sequence[str] = (),
        out: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.quality = quality
        self.epochs = epochs
        self.batch_size = batch_size
        self.image_size = image_size
        self.backbone = backbone
        self.lr = lr
        self.folds = folds
        self.patience = patience
        self.budget_s = budget_s
        self.random_state = random_state
        self.device = device
        self.devices = devices
        self.strategy = strategy
        self.overrides = overrides
        self.out = out
        self.verbose = verbose

    def fit(self, X: Iterable[Any], y: ArrayLike) -> Self:
        """Train a model on labelled pictures.

        Args:
            X: Array (N, H, W) or (N, H, W, 3), or N paths, arrays or Pillow images; arrays as for
                `foveal.Model.predict`.
            y: (N,) class labels.

        Returns:
            The fitted estimator.

        Raises:
            DataError: If the pictures cannot be used for training.
            ImageError: If a file does not exist or cannot be opened.
            UsageError: If X is empty, or an element of it is not a picture.
            ValueError: If X and y differ in length, or y does not hold class labels.
        """
        targets: NDArray[Any] = column_or_1d(y, warn=True)
        classes = _classes(targets)
        pictures = _pictures(X)
        check_consistent_length(pictures, targets)
        folder = _own_folder(self)
        data = folder / "data"
        _write(pictures, [str(label) for label in targets], data)
        settings = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in ("random_state", "out")
        }
        self.model_ = train(
            data,
            name="pictures",
            task="classify",
            seed=self.random_state,
            out=folder / "runs" if self.out is None else self.out,
            **settings,
        )
        self.classes_ = classes
        return self

    def predict(self, X: Iterable[Any]) -> NDArray[Any]:
        """Return the most likely class of each picture, (N,).

        Args:
            X: As for `fit`.

        Raises:
            ImageError: If a picture cannot be read.
        """
        chances = self.predict_proba(X)
        classes: NDArray[Any] = self.classes_[chances.argmax(axis=1)]
        return classes

    def predict_proba(self, X: Iterable[Any]) -> NDArray[np.float32]:
        """Return the calibrated probabilities, (N, C), in the order of `classes_`.

        Args:
            X: As for `fit`.

        Raises:
            ImageError: If a picture cannot be read.
        """
        check_is_fitted(self)
        # The model sorts its labels as text: "10" before "2".
        labels = self.model_.labels
        order = [labels.index(str(label)) for label in self.classes_]
        chances: NDArray[np.float32] = self.model_.predict_proba(_pictures(X))[:, order]
        return chances

    def __sklearn_tags__(self) -> Tags:
        """Declare that X holds pictures."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters, and the model as bytes."""
        state = dict(super().__getstate__())
        if "model_" in state:
            with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
                state["model_"] = self.model_.save(Path(folder) / _BUNDLE).read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Write the model to a temporary folder, and open it."""
        super().__setstate__(state)
        if "model_" in state:
            path = _own_folder(self) / _BUNDLE
            path.write_bytes(state["model_"])
            self.model_ = Model(path)


def _own_folder(estimator: FovealClassifier) -> Path:
    """Return a new temporary folder that is deleted with the estimator."""
    folder = tempfile.mkdtemp(prefix="foveal-")
    weakref.finalize(estimator, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _classes(targets: NDArray[Any]) -> NDArray[Any]:
    """Return the sorted classes.

    Raises:
        ValueError: If a label is missing, they are not of one type, or not class labels.
    """
    try:
        assert_all_finite(targets, input_name="y")
        check_classification_targets(targets)
        classes: NDArray[Any] = np.unique(targets)
    except TypeError as error:
        # A missing label of a table, or text among numbers.
        kinds = sorted({type(label).__name__ for label in targets})
        raise ValueError(
            f"Expected class labels of one type in y. Received: {', '.join(kinds)}."
        ) from error
    for label in map(str, classes):
        # It is a cell of a table of labels, where `|` separates several.
        if not label or label != label.strip() or "|" in label:
            raise ValueError(
                f"Invalid class {label!r}. Expected text without '|' and without spaces around it."
            )
    return classes


def _pictures(given: Any) -> list[Given]:
    is_several = isinstance(given, Iterable) and not isinstance(given, (str, bytes, Path))
    if not is_several:
        # A text is a sequence of letters, and would be read as so many paths.
        raise UsageError(
            f"Expected pictures, an array or a list of them. Received: {given!r:.60}.",
            hint="classifier.predict([path]) for one; sorted(folder.glob('*.jpg')) for many",
        )
    if getattr(given, "ndim", None) == 2:
        # Iterating over a table would give the names of its columns.
        raise UsageError(
            "Expected pictures, (N, H, W) or (N, H, W, 3), or one column of paths. Received: "
            f"{tuple(given.shape)}.",
            hint="X.reshape(-1, height, width) for pixels, table['path'] for paths",
        )
    # An array (N, H, W) would be one picture: here the first axis always counts pictures. Neither
    # does a folder in a list stand for several.
    pictures = [read_one(picture) for picture in given]
    if not pictures:
        raise UsageError("Expected at least one picture. Received none.")
    return pictures


def _write(pictures: Sequence[Given], labels: Sequence[str], folder: Path) -> None:
    """Write a table of the pictures, and the pictures in memory as files beside it."""
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "label"))
        for i, (given, label) in enumerate(zip(pictures, labels, strict=True)):
            content, name = given.content, f"{i:06}.png"
            if isinstance(content, str):
                path = Path(content).resolve()
                # Read in training; there, a missing file would be one of a table.
                with reading(path), path.open("rb"):
                    name = str(path)
            elif isinstance(content, Picture):
                (folder / name).write_bytes(encode_png(content.pixels))
            else:
                (folder / name).write_bytes(file_bytes(content, DEFAULT_LIMITS))
            table.writerow((name, label))
