"""The estimator for scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import DrawFolder, draw_shape

from foveal.errors import DataError, ImageError, UsageError

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from foveal.sklearn import FovealClassifier

SMALL: dict[str, Any] = {"backbone": "cnn2", "epochs": 2, "image_size": 32, "random_state": 0}
CLASSES = {2: "circle", 10: "square"}


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 16, 16, 3) pictures and their classes, 2 and 10."""
    rng = np.random.default_rng(seed)
    y = np.array([2, 10] * (n // 2))
    return np.stack([np.asarray(draw_shape(CLASSES[label], rng, 16)) for label in y]), y


@pytest.fixture(scope="module")
def fitted() -> FovealClassifier:
    return FovealClassifier(**SMALL).fit(*drawn(40))


@pytest.mark.slow
def test_pictures_are_classified_in_the_order_of_the_classes(fitted: FovealClassifier) -> None:
    X, y = drawn(8, seed=1)
    assert fitted.classes_.tolist() == [2, 10]
    # The model's labels are texts, sorted as such.
    assert fitted.model_.labels == ("10", "2")
    chances = fitted.predict_proba(X)
    assert chances.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-5)
    assert np.array_equal(fitted.classes_[chances.argmax(axis=1)], fitted.predict(X))
    assert fitted.score(X, y) == 1.0
    # The same pictures, as floats and as a list.
    assert np.array_equal(fitted.predict(list(X / 255)), y)


@pytest.mark.slow
def test_a_fitted_classifier_is_pickled_with_its_model(fitted: FovealClassifier) -> None:
    X, _ = drawn(4, seed=2)
    copy = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    assert copy.model_.bundle.path != fitted.model_.bundle.path
    assert not hasattr(clone(fitted), "model_")


@pytest.mark.slow
def test_paths_are_cross_validated_and_searched(draw_folder: DrawFolder, tmp_path: Path) -> None:
    paths = sorted(map(str, draw_folder(tmp_path / "photos", n=12).rglob("*.png")))
    y = [Path(path).parent.name for path in paths]
    scores = cross_val_score(FovealClassifier(**SMALL), paths, y, cv=2)
    assert scores.tolist() == [1.0, 1.0]
    pipeline = make_pipeline(FunctionTransformer(), FovealClassifier(**SMALL))
    search = GridSearchCV(pipeline, {"fovealclassifier__epochs": [1, 2]}, cv=2)
    search.fit(paths, y)
    assert search.best_estimator_.predict(paths[:1]).tolist() == ["circle"]
    assert search.best_score_ > 0.9


@pytest.mark.slow
def test_runs_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    classifier = FovealClassifier(**SMALL, out=tmp_path / "runs").fit(*drawn(20))
    assert classifier.model_.run == tmp_path / "runs" / "classify" / "pictures"
    assert (classifier.model_.run / "report.html").is_file()


CHECKS = [
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_mixin_order,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_scikit_learn_checks_of_any_estimator_holds(check: Any) -> None:
    check("FovealClassifier", FovealClassifier())


def test_what_scikit_learn_checks_of_estimators_of_pictures_holds() -> None:
    # It has no pictures of its own to check with, and says so.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        estimator_checks.check_estimator(FovealClassifier())


def test_what_is_no_picture_or_has_no_class_is_refused() -> None:
    X, y = drawn(4)
    with pytest.raises(NotFittedError):
        FovealClassifier().predict(X)
    with pytest.raises(UsageError, match=r"Expected pictures, \(N, H, W\).*\(4, 64\)"):
        FovealClassifier().fit(np.zeros((4, 64)), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FovealClassifier().fit(X, y[:3])
    with pytest.raises(ValueError, match="Unknown label type"):
        FovealClassifier().fit(X, [0.1, 0.2, 0.3, 0.4])
    for given in (None, 5):
        with pytest.raises(UsageError, match=f"Expected pictures, .* Received: {given}"):
            FovealClassifier().fit(given, y)
    with pytest.raises(UsageError, match="at least one picture"):
        FovealClassifier().fit([], [])
    with pytest.raises(UsageError, match=r"or one column of paths. Received: \(4, 1\)"):
        FovealClassifier().fit(np.array([["a.png"]] * 4, dtype=object), y)
    with pytest.raises(ImageError, match=r"nowhere\.png does not exist"):
        FovealClassifier().fit(["nowhere.png"] * 4, y)
    with pytest.raises(ImageError, match="is a folder"):
        FovealClassifier().fit([Path.cwd()] * 4, y)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a|b", "c", "c", "d"], r"Invalid class 'a\|b'"),
        # Without their spaces, two classes would be one.
        (["a", " a", "a", " a"], "Invalid class ' a'"),
        (["", "a", "a", ""], "Invalid class ''"),
        ([1.0, np.nan, 2.0, 1.0], "Input y contains NaN"),
        (np.array(["a", None, "b", "a"], dtype=object), "one type in y. Received: NoneType, str"),
        (np.array(["a", np.nan, "b", "a"], dtype=object), "NaN"),
        (np.array(["a", 1, "b", "a"], dtype=object), "one type in y. Received: int, str"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_are_no_class_labels_is_refused(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FovealClassifier().fit(drawn(4)[0], labels)


def test_a_failed_fit_leaves_the_fitted_model(fitted: FovealClassifier) -> None:
    X, _ = drawn(4)
    with pytest.raises(DataError):
        fitted.fit(X, [1] * 4)
    assert fitted.classes_.tolist() == [2, 10]
    assert set(fitted.predict(X)) == {2, 10}


@pytest.mark.parametrize("given", ["photos/a.png", Path("photos"), b"\x89PNG"])
def test_one_picture_is_not_read_letter_by_letter(fitted: FovealClassifier, given: object) -> None:
    with pytest.raises(UsageError, match="Expected pictures, an array or a list of them"):
        fitted.predict(given)


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = (
        "import sys\n"
        "sys.modules['sklearn'] = None\n"
        "import foveal\n"
        "try:\n"
        "    from foveal.sklearn import FovealClassifier\n"
        "except foveal.FovealError as error:\n"
        "    print(error.message, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs scikit-learn, which is not installed" in done.stdout
    assert "[train,sklearn]" in done.stdout
