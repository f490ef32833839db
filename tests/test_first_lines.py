"""The first lines that a user of another library types either work or say what to type.

The lines are those of the quick starts of Ultralytics, fastai, Keras and scikit-learn, with our
pictures. Each is followed by the words that its one line of help has; None where it works.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from drawing import DrawFolder, draw_shape
from PIL import Image as PILImage

import foveal

pytest.importorskip("sklearn")

ULTRALYTICS = [
    ("from foveal import YOLO", "foveal.load("),
    ("model = foveal.YOLO('best.pt')", "foveal.load("),
    ("model = foveal.load('best.pt')", "no bundle at best.pt"),
    ("model = foveal.load('best.foveal')", None),
    ("results = model('circle.jpg')", None),
    ("results[0].probs.top1", "answer.label"),
    ("for r in results: r.show()", "answer.label"),
    ("results = model(['circle.jpg', 'square.jpg'])", None),
    ("for r in results: print(r.probs.top1, r.probs.top5, r.probs.top1conf)", None),
    ("model.names[results[0].probs.top1]", None),
    ("results[0].boxes.xyxy", "not boxes"),
    ("results[0].masks", "answer.mask"),
    ("results[0].path", "answer.source"),
    ("results[0].names", "model.names"),
    ("results[0].plot()", None),
    ("results[0].save(filename='result.jpg')", "Type path="),
    ("results[0].save('result.jpg')", None),
    ("results[0].to_df()", "to_pandas()"),
    ("model.predict(source='circle.jpg', save=True)", "Type pictures="),
    ("model.predict('circle.jpg', save=True)", "Type out="),
    ("for r in model.predict('photos', stream=True): print(r)", None),
    ("model('nothing.jpg')", "nothing.jpg does not exist"),
    ("model.train(data='photos', epochs=1, imgsz=64)", "foveal.train("),
    ("foveal.train(data='photos', epochs=1, imgsz=64)", "Type image_size="),
    ("foveal.train(data='photos', epochs=1, batch=16)", "Type batch_size="),
    ("foveal.train(model='cnn2', data='photos')", "Type backbone="),
    ("model = foveal.load('runs/classify/photos')", None),
    ("metrics = model.val()", None),
    ("metrics.top1", 'metrics["accuracy"]'),
    ("metrics.confusion_matrix", "evaluation.confusion"),
    ("model.export(format='onnx')", "Type to="),
    ("model.export('onnx')", None),
    ("model.info()", None),
    ("model.track('video.mp4')", "not boxes"),
    ("model.to('cuda')", "ONNX Runtime"),
]

FASTAI = [
    ("from foveal import ImageDataLoaders", "foveal.train("),
    ("dls = foveal.ImageDataLoaders.from_folder('photos', valid_pct=0.2)", "foveal.train("),
    ("dls = foveal.untar_data('photos')", "foveal.check("),
    ("learn = foveal.vision_learner('photos', 'resnet34')", "backbone="),
    ("learn = foveal.load_learner('best.foveal')", "foveal.load("),
    ("learn = foveal.load('best.foveal')", None),
    ("learn.fine_tune(1)", "foveal.extend("),
    ("learn.fit_one_cycle(1)", "foveal.extend("),
    ("learn.lr_find()", "learning rate"),
    ("learn.unfreeze()", "foveal.extend("),
    ("learn.show_results()", "model.evaluate("),
    ("learn.validate()", "model.evaluate("),
    ("learn.recorder.plot_loss()", "model.history()"),
    ("learn.dls.vocab", "foveal.train("),
    ("learn.predict('circle.jpg')", None),
    ("label, index, probs = learn.predict('circle.jpg')", "answer.probs"),
    ("preds, targets = learn.get_preds()", "model.evaluate("),
    ("learn.summary()", "model.layers()"),
    ("learn.export('model.pkl')", "Unknown format"),
]

KERAS = [
    ("train_ds = foveal.image_dataset_from_directory('photos')", "foveal.train("),
    ("model = foveal.Sequential([])", "foveal.train("),
    ("model = foveal.keras.applications.EfficientNetB0()", "foveal.train("),
    ("model = foveal.load_model('model.keras')", "foveal.load("),
    ("model = foveal.load('best.foveal')", None),
    ("model.compile(optimizer='adam', loss='categorical_crossentropy')", "foveal.train("),
    ("history = model.fit(X, y, epochs=3)", "foveal.extend("),
    ("foveal.train('photos', epochs=1, learning_rate=1e-3)", "Type lr="),
    ("foveal.train('photos', epoch=1)", "Type epochs="),
    ("model.evaluate('photos')", None),
    ("scores = model.predict(X)", None),
    ("scores.argmax(axis=1)", "answers.probs.argmax(axis=1)"),
    ("scores.probs.argmax(axis=1)", None),
    ("model.predict(X[0] / 255)", None),
    ("model.predict(X[0].transpose(2, 0, 1))", "Expected an array"),
    ("model.summary()", "model.info()"),
    ("model.save_weights('w.h5')", "model.save("),
    ("model.save('model.foveal')", None),
    ("model.class_names", "model.labels"),
]

SKLEARN = [
    ("foveal.FovealClassifier()", "from foveal.sklearn import FovealClassifier"),
    ("from foveal.sklearn import FovealClassifier", None),
    ("classifier = FovealClassifier(epochs=1, backbone='cnn2', image_size=32)", None),
    ("classifier.predict(X)", "not fitted"),
    ("classifier.fit(many, labels)", None),
    ("classifier.score(X, y)", None),
    ("classifier.predict_proba(X)", None),
    ("classifier.model_.metrics['accuracy']", None),
    ("model = classifier.model_", None),
    ("model = foveal.load('best.foveal')", None),
    ("model.fit(X, y)", "foveal.train("),
    ("model.score(X, y)", "model.evaluate("),
    ("model.classes_", "model.labels"),
    ("model.predict_proba(X)", None),
    ("predicted = model.predict(X)", None),
    ("predicted.label", "for answer in answers"),
    ("[answer.label for answer in predicted] == list(y)", None),
    ("model.predict(3)", "Expected a path"),
    ("model.predict(None)", "Expected a path"),
    ("foveal.trian('photos')", "Did you mean 'train'"),
    ("model.predcit(X)", "Did you mean 'predict'"),
]

SESSIONS = {"ultralytics": ULTRALYTICS, "fastai": FASTAI, "keras": KERAS, "sklearn": SKLEARN}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder) -> Path:
    """Return a folder with pictures, a run and a model, as a beginner has it."""
    folder = tmp_path_factory.mktemp("desk")
    draw_folder(folder / "photos", n=20)
    rng = np.random.default_rng(0)
    for name in ("circle", "square"):
        draw_shape(name, rng, 16).save(folder / f"{name}.jpg", quality=95)
    model = foveal.train(
        folder / "photos", out=folder / "runs", backbone="cnn2", epochs=2, image_size=32
    )
    model.save(folder / "best.foveal")
    return folder


@pytest.fixture
def namespace(
    desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    matplotlib.use("agg")
    shutil.copytree(desk, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    pictures = [np.asarray(PILImage.open(f"{name}.jpg")) for name in ("circle", "square")]
    monkeypatch.setattr(PILImage.Image, "show", lambda *_, **__: None)
    paths = sorted(map(str, Path("photos").rglob("*.png")))
    yield {
        "foveal": foveal,
        "X": np.stack(pictures),
        "y": np.array(["circle", "square"]),
        "many": paths,
        "labels": [Path(path).parent.name for path in paths],
    }
    matplotlib.pyplot.close("all")


def typed(line: str, namespace: dict[str, Any]) -> str | None:
    """Run a line as in a session; return the message of its error."""
    try:
        exec(line, namespace)  # The line is from the tables above.
    except (foveal.FovealError, AttributeError, ImportError, TypeError, ValueError) as error:
        return str(error)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("session", SESSIONS)
def test_what_is_typed_first_works_or_says_what_to_type(
    session: str, namespace: dict[str, Any]
) -> None:
    for line, help_words in SESSIONS[session]:
        said = typed(line, namespace)
        if help_words is None:
            assert said is None, f"{line}: {said}"
        else:
            assert said is not None and help_words in said, f"{line}: {said}"
            assert "\n" not in said, line


def test_there_are_more_than_fifty_lines() -> None:
    assert sum(map(len, SESSIONS.values())) >= 80
